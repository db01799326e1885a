/**
 * Drives a server over bare HTTP/2 from a process of its own, so that what it measures there is the server's.
 * It speaks just enough gRPC to send framed messages and to check the status of every answer. Others, which speak
 * HTTP/1.1, it drives over that, and checks every answer as well.
 */
import { Agent, request } from "node:http";
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import type { LoadJob, LoadResult } from "./load.ts";

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH } = constants;

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      throw error;
    },
  );
});
process.send?.("ready");

async function run(job: LoadJob): Promise<LoadResult> {
  const connections = job.expects === undefined ? job.connections : 0;
  const sessions = await Promise.all(Array.from({ length: connections }, () => open(job.address)));
  const caller = new Caller(sessions, job);
  const latencies = await caller.run();
  for (const session of sessions) session.close();
  caller.agent.destroy();
  latencies.sort();
  return {
    requests: latencies.length,
    seconds: caller.seconds,
    p50Ms: latencies[Math.floor(latencies.length * 0.5)] ?? Number.NaN,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
    bytes: caller.bytes,
  };
}

function open(address: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}`, { settings: { enablePush: false } });
    session.once("error", reject);
    session.once("remoteSettings", () => resolve(session));
  });
}

class Caller {
  readonly #sessions: readonly ClientHttp2Session[];
  readonly #job: LoadJob;
  readonly #headers: Record<string, string>;
  /** HTTP/1.1 takes a connection for each call at a time. */
  readonly agent = new Agent({ keepAlive: true });
  #next = 0;
  bytes = 0;
  seconds = 0;

  constructor(sessions: readonly ClientHttp2Session[], job: LoadJob) {
    this.#sessions = sessions;
    this.#job = job;
    this.#headers = { [HTTP2_HEADER_METHOD]: "POST", [HTTP2_HEADER_PATH]: job.path, te: "trailers", ...job.headers };
  }

  run(): Promise<Float64Array> {
    const { concurrency, messagesPerStream, ratePerSecond } = this.#job;
    if (messagesPerStream !== undefined) return this.streams(concurrency, messagesPerStream);
    return ratePerSecond === undefined ? this.closedLoop(concurrency) : this.openLoop(ratePerSecond);
  }

  /** So many calls at a time, each followed by the next at once. */
  async closedLoop(concurrency: number): Promise<Float64Array> {
    const latencies: number[] = [];
    const startedAt = performance.now();
    let remaining = this.#job.requests;
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (remaining-- > 0) {
          const sentAt = performance.now();
          await this.#call();
          latencies.push(performance.now() - sentAt);
        }
      }),
    );
    this.seconds = (performance.now() - startedAt) / 1000;
    return Float64Array.from(latencies);
  }

  /** So many calls a second, whether the server keeps up or not; a late start counts as waiting. */
  async openLoop(ratePerSecond: number): Promise<Float64Array> {
    const latencies: number[] = [];
    const startedAt = performance.now();
    const pending: Promise<void>[] = [];
    for (let sent = 0; sent < this.#job.requests; ) {
      const due = Math.min(this.#job.requests, Math.floor(((performance.now() - startedAt) / 1000) * ratePerSecond));
      for (; sent < due; sent++) {
        const dueAt = startedAt + (sent / ratePerSecond) * 1000;
        pending.push(this.#call().then(() => void latencies.push(performance.now() - dueAt)));
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(pending);
    this.seconds = (performance.now() - startedAt) / 1000;
    return Float64Array.from(latencies);
  }

  /** Streams of so many messages each, as many at once as `concurrency` says; a message is sent when the last one is answered. */
  async streams(concurrency: number, messages: number): Promise<Float64Array> {
    const latencies: number[] = [];
    const startedAt = performance.now();
    let remaining = this.#job.requests;
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (remaining > 0) {
          const share = Math.min(messages, remaining);
          remaining -= share;
          await this.#stream(share, latencies);
        }
      }),
    );
    this.seconds = (performance.now() - startedAt) / 1000;
    return Float64Array.from(latencies);
  }

  #stream(messages: number, latencies: number[]): Promise<void> {
    const session = this.#sessions[this.#next % this.#sessions.length];
    if (session === undefined) throw new Error("nothing to send on");
    return new Promise((resolve, reject) => {
      const stream = session.request(this.#headers, { endStream: false });
      let status: unknown;
      let answered = 0;
      let sentAt = 0;
      const send = (): void => {
        const { bodies } = this.#job;
        sentAt = performance.now();
        stream.write(bodies[this.#next++ % bodies.length]);
      };
      stream.on("trailers", (headers: IncomingHttpHeaders) => {
        status = headers["grpc-status"];
      });
      // One answer is one frame here, for the next question goes out when it is in.
      stream.on("data", () => {
        latencies.push(performance.now() - sentAt);
        answered++;
        if (answered < messages) send();
        else stream.end();
      });
      stream.on("error", reject);
      stream.on("close", () =>
        String(status) === "0" ? resolve() : reject(new Error(`stream ended with ${String(status)}`)),
      );
      send();
    });
  }

  #call(): Promise<void> {
    const turn = this.#next++;
    const { bodies, expects } = this.#job;
    const session = this.#sessions[turn % this.#sessions.length];
    const body = bodies[turn % bodies.length];
    if (expects !== undefined && body !== undefined) return this.#post(body, expects);
    if (session === undefined || body === undefined) throw new Error("nothing to send");
    return new Promise((resolve, reject) => {
      const stream = session.request(this.#headers, { endStream: false });
      let status: unknown;
      const hear = (headers: IncomingHttpHeaders): void => {
        status ??= headers["grpc-status"];
      };
      stream.on("response", hear);
      stream.on("trailers", hear);
      stream.on("data", (chunk: Buffer) => (this.bytes += chunk.length));
      stream.on("error", reject);
      stream.on("close", () =>
        String(status) === "0" ? resolve() : reject(new Error(`call ended with ${String(status)}`)),
      );
      stream.end(body);
    });
  }

  #post(body: Uint8Array, expects: string): Promise<void> {
    const { address, path, headers } = this.#job;
    const [host, port] = address.split(":");
    const options = { host, port, path, method: "POST", agent: this.agent };
    return new Promise((resolve, reject) => {
      const call = request({ ...options, headers: { ...headers, "content-length": body.length } }, (response) => {
        let answer = "";
        response.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
        response.on("end", () => {
          this.bytes += answer.length;
          if (response.statusCode === 200 && answer.includes(expects)) resolve();
          else reject(new Error(`call ended with ${response.statusCode}: ${answer}`));
        });
      });
      call.on("error", reject);
      call.end(body);
    });
  }
}
