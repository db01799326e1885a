/**
 * Drives a server over bare HTTP/2 from a process of its own, so that what it measures there is the server's.
 * It speaks just enough gRPC to send framed messages and to check the status of every answer. Others, which speak
 * HTTP/1.1, it drives over that, and checks every answer as well.
 */
import { Agent, request } from "node:http";
import { Http2Client } from "./http2-client.ts";
import type { LoadJob, LoadResult } from "./load.ts";

process.on("message", (jobs: readonly LoadJob[]) => {
  run(jobs).then(
    (results) => process.send?.(results),
    (error: unknown) => {
      throw error;
    },
  );
});
process.send?.("ready");

/** Connections that no job has now, by where they lead: backends keep theirs for hours, and so does this. */
const idle = new Map<string, Http2Client[]>();

async function run(jobs: readonly LoadJob[]): Promise<readonly LoadResult[]> {
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const prepared = await Promise.race([Promise.all(jobs.map((job) => prepare(job, fail))), failed]);
  const results = await Promise.race([Promise.all(prepared.map(({ caller }) => caller.run())), failed]);
  for (const { job, clients, caller } of prepared) {
    for (const client of clients) giveBack(job, client);
    caller.agent.destroy();
  }
  return results;
}

async function prepare(job: LoadJob, fail: (error: Error) => void) {
  const connections = job.expects === undefined ? job.connections : 0;
  const clients = await Promise.all(Array.from({ length: connections }, () => take(job, fail)));
  return { job, clients, caller: new Caller(clients, job) };
}

async function take({ address, path, headers }: LoadJob, onFailure: (error: Error) => void): Promise<Http2Client> {
  const kept = idle.get(placeOf({ address, path, headers }))?.pop();
  if (kept === undefined) return Http2Client.open(address, path, headers, onFailure);
  kept.onFailure = onFailure;
  return kept;
}

function giveBack(job: LoadJob, client: Http2Client): void {
  const place = placeOf(job);
  const there = idle.get(place) ?? [];
  idle.set(place, there);
  there.push(client);
  // A server may end between two jobs.
  client.onFailure = () =>
    void idle.set(
      place,
      (idle.get(place) ?? []).filter((other) => other !== client),
    );
}

function placeOf({ address, path, headers }: Pick<LoadJob, "address" | "path" | "headers">): string {
  return JSON.stringify([address, path, headers]);
}

const NOTHING = new Uint8Array(0);

class Caller {
  readonly #clients: readonly Http2Client[];
  readonly #job: LoadJob;
  /** HTTP/1.1 takes a connection for each call at a time. */
  readonly agent = new Agent({ keepAlive: true });
  #next = 0;
  #bytes = 0;

  constructor(clients: readonly Http2Client[], job: LoadJob) {
    this.#clients = clients;
    this.#job = job;
  }

  async run(): Promise<LoadResult> {
    const startedAt = performance.now();
    const latencies = (await this.#latencies()).toSorted();
    return {
      requests: latencies.length,
      seconds: (performance.now() - startedAt) / 1000,
      p50Ms: latencies[Math.floor(latencies.length * 0.5)] ?? Number.NaN,
      p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
      bytes: this.#bytes,
    };
  }

  #latencies(): Promise<Float64Array> {
    const { concurrency, messagesPerStream, ratePerSecond } = this.#job;
    if (messagesPerStream !== undefined) return this.#streams(concurrency, messagesPerStream);
    return ratePerSecond === undefined ? this.#closedLoop(concurrency) : this.#openLoop(ratePerSecond);
  }

  /**
   * So many calls at a time, each followed by the next on the same connection at once, as if each connection were a
   * backend's: the one that is answered sooner asks more.
   */
  #closedLoop(concurrency: number): Promise<Float64Array> {
    const latencies = new Float64Array(this.#job.requests);
    let [sent, ended] = [0, 0];
    return new Promise((resolve, reject) => {
      const next = (connection: number): void => {
        if (sent === latencies.length) return;
        sent++;
        const sentAt = performance.now();
        this.#call(connection, (error) => {
          if (error !== undefined) return reject(error);
          latencies[ended++] = performance.now() - sentAt;
          if (ended === latencies.length) resolve(latencies);
          else next(connection);
        });
      };
      for (let index = 0; index < concurrency; index++) next(index);
    });
  }

  /** So many calls a second, whether the server keeps up or not; a late start counts as waiting. */
  #openLoop(ratePerSecond: number): Promise<Float64Array> {
    const latencies = new Float64Array(this.#job.requests);
    const startedAt = performance.now();
    let [sent, ended] = [0, 0];
    return new Promise((resolve, reject) => {
      const sendDue = (): void => {
        const due = Math.min(latencies.length, Math.floor(((performance.now() - startedAt) / 1000) * ratePerSecond));
        for (; sent < due; sent++) {
          const dueAt = startedAt + ((sent + 1) / ratePerSecond) * 1000;
          this.#call(sent, (error) => {
            if (error !== undefined) return reject(error);
            latencies[ended++] = performance.now() - dueAt;
            if (ended === latencies.length) resolve(latencies);
          });
        }
        // One that woke each millisecond for a few calls a second would take time that is the server's.
        const nextMs = startedAt + ((sent + 1) / ratePerSecond) * 1000 - performance.now();
        if (sent < latencies.length) setTimeout(sendDue, Math.max(1, nextMs));
      };
      sendDue();
    });
  }

  /** Streams of so many messages each, as many at once as `concurrency` says; a message is sent when the last one is answered. */
  async #streams(concurrency: number, messages: number): Promise<Float64Array> {
    const latencies: number[] = [];
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
          this.#bytes += answered;
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
        this.#bytes += answer.length;
        const isGood = response.statusCode === 200 && answer.includes(expects);
        done(isGood ? undefined : new Error(`call ended with ${response.statusCode}: ${answer}`));
      });
    });
    call.on("error", done);
    call.end(body);
  }
}
