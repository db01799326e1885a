/** Starts processes that make the load, and hands them work. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

export interface LoadJob {
  /** `host:port` */
  readonly address: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Framed requests, sent in turn. */
  readonly bodies: readonly Uint8Array[];
  readonly requests: number;
  readonly connections: number;
  /** Calls at a time, where no rate is given. */
  readonly concurrency: number;
  /** Calls a second; undefined means as many as it takes. */
  readonly ratePerSecond?: number;
  /** Messages of a bidirectional call; undefined for calls of one message. */
  readonly messagesPerStream?: number;
  /** What each answer must hold of a server that speaks HTTP/1.1; undefined for one that speaks gRPC. */
  readonly expects?: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Bytes of all answers. */
  readonly bytes: number;
}

export interface LoadProcess extends AsyncDisposable {
  run(job: LoadJob): Promise<LoadResult>;
  /** Runs jobs side by side. They begin together, when all of them have their connections. */
  runTogether(jobs: readonly LoadJob[]): Promise<readonly LoadResult[]>;
}

/** Scavenges of what calls leave behind; fewer of them hold up fewer calls. */
const V8_FLAGS = ["--max-semi-space-size=32"];

export async function startLoad(): Promise<LoadProcess> {
  const child = fork(new URL("./load-worker.ts", import.meta.url), { serialization: "advanced", execArgv: V8_FLAGS });
  const exited = once(child, "exit");
  await Promise.race([once(child, "message"), exited]);
  const runTogether = async (jobs: readonly LoadJob[]): Promise<readonly LoadResult[]> => {
    const answer = once(child, "message") as Promise<[readonly LoadResult[]]>;
    child.send(jobs);
    const [results] = await Promise.race([
      answer,
      exited.then(() => {
        throw new Error("the load process died");
      }),
    ]);
    return results;
  };
  return {
    runTogether,
    async run(job) {
      const [result] = await runTogether([job]);
      if (result === undefined) throw new Error("a job had no result");
      return result;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}

/** A message as gRPC sends it. */
export function frame<S extends DescMessage>(schema: S, init: MessageInitShape<S>): Uint8Array {
  const message = toBinary(schema, create(schema, init));
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}
