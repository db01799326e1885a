/**
 * Drives a server over bare HTTP/2 from a process of its own, so that what it measures there is the server's.
 * It speaks just enough gRPC to send framed messages and to check the status of every answer. Others, which speak
 * HTTP/1.1, it drives over that, and checks every answer as well.
 */
import { Agent, request } from "node:http";
import { Http2Client } from "./http2-client.ts";
import type { LoadJob, LoadOrder, LoadReport, LoadResult } from "./load.ts";

process.on("message", ({ id, job }: LoadOrder) => {
  run(job).then(
    (result) => process.send?.({ id, result } satisfies LoadReport),
    (error: unknown) => {
      throw error;
    },
  );
});
process.send?.("ready");

async function run(job: LoadJob): Promise<LoadResult> {
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const connections = job.expects === undefined ? job.connections : 0;
  const clients = await Promise.race([
    Promise.all(Array.from({ length: connections }, () => Http2Client.open(job.address, job.path, job.headers, fail))),
    failed,
  ]);
  const caller = new Caller(clients, job);
  const latencies = await Promise.race([caller.run(), failed]);
  for (const client of clients) client.close();
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

const NOTHING = new Uint8Array(0);

class Caller {
  readonly #clients: readonly Http2Client[];
  readonly #job: LoadJob;
  /** HTTP/1.1 takes a connection for each call at a time. */
  readonly agent = new Agent({ keepAlive: true });
  #next = 0;
  bytes = 0;
  seconds = 0;

  constructor(clients: readonly Http2Client[], job: LoadJob) {
    this.#clients = clients;
    this.#job = job;
  }

  run(): Promise<Float64Array> {
    const { concurrency, messagesPerStream, ratePerSecond } = this.#job;
    if (messagesPerStream !== undefined) return this.streams(concurrency, messagesPerStream);
    return ratePerSecond === undefined ? this.closedLoop(concurrency) : this.openLoop(ratePerSecond);
  }

  /**
   * So many calls at a time, each followed by the next on the same connection at once, as if each connection were a
   * backend's: the one that is answered sooner asks more.
   */
  async closedLoop(concurrency: number): Promise<Float64Array> {
    const latencies = new Float64Array(this.#job.requests);
    const startedAt = performance.now();
    let [sent, ended] = [0, 0];
    await new Promise<void>((resolve, reject) => {
      const next = (connection: number): void => {
        if (sent === latencies.length) return;
        sent++;
        const sentAt = performance.now();
        this.#call(connection, (error) => {
          if (error !== undefined) return reject(error);
          latencies[ended++] = performance.now() - sentAt;
          if (ended === latencies.length) resolve();
          else next(connection);
        });
      };
      for (let index = 0; index < concurrency; index++) next(index);
    });
    this.seconds = (performance.now() - startedAt) / 1000;
    return latencies;
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
        const answered = new Promise<void>((resolve, reject) => {
          this.#call(this.#next, (error) => (error === undefined ? resolve() : reject(error)));
        });
        pending.push(answered.then(() => void latencies.push(performance.now() - dueAt)));
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
    const { bodies } = this.#job;
    const client = this.#clientOf(this.#next);
    return new Promise((resolve, reject) => {
      let answered = 0;
      let sentAt = performance.now();
      const body = (): Uint8Array => bodies[this.#next++ % bodies.length] ?? NOTHING;
      const id = client.call(
        body(),
        {
          // One answer is one frame here, for the next question goes out when it is in.
          onData: () => {
            latencies.push(performance.now() - sentAt);
            answered++;
            sentAt = performance.now();
            if (answered < messages) client.send(id, body(), false);
            else client.send(id, NOTHING, true);
          },
          onEnd: (isOk) => (isOk ? resolve() : reject(new Error("a stream ended with another status than OK"))),
        },
        false,
      );
    });
  }

  #clientOf(connection: number): Http2Client {
    const client = this.#clients[connection % this.#clients.length];
    if (client === undefined) throw new Error("nothing to send on");
    return client;
  }

  /** Sends the next call. */
  #call(connection: number, done: (error?: Error) => void): void {
    const { bodies, expects } = this.#job;
    const body = bodies[this.#next++ % bodies.length];
    if (body === undefined) throw new Error("nothing to send");
    if (expects !== undefined) return this.#post(body, expects, done);
    let answered = 0;
    this.#clientOf(connection).call(
      body,
      {
        onData: (bytes) => {
          answered += bytes.length;
        },
        onEnd: (isOk) => {
          this.bytes += answered;
          done(
            isOk && answered > 0
              ? undefined
              : new Error("a call ended without an answer, or with another status than OK"),
          );
        },
      },
      true,
    );
  }

  #post(body: Uint8Array, expects: string, done: (error?: Error) => void): void {
    const { address, path, headers } = this.#job;
    const [host, port] = address.split(":");
    const options = { host, port, path, method: "POST", agent: this.agent };
    const call = request({ ...options, headers: { ...headers, "content-length": body.length } }, (response) => {
      let answer = "";
      response.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
      response.on("end", () => {
        this.bytes += answer.length;
        const isGood = response.statusCode === 200 && answer.includes(expects);
        done(isGood ? undefined : new Error(`call ended with ${response.statusCode}: ${answer}`));
      });
    });
    call.on("error", done);
    call.end(body);
  }
}
