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
  /** Several jobs at a time share the process and its core. */
  run(job: LoadJob): Promise<LoadResult>;
}

/** What goes to a load process, and what comes back from it once it has said that it is ready. */
export interface LoadOrder {
  readonly id: number;
  readonly job: LoadJob;
}

export interface LoadReport {
  readonly id: number;
  readonly result: LoadResult;
}

export async function startLoad(): Promise<LoadProcess> {
  const child = fork(new URL("./load-worker.ts", import.meta.url), { serialization: "advanced" });
  const exited = once(child, "exit");
  const died = exited.then(() => {
    throw new Error("the load process died");
  });
  // Whoever waits for a result hears of it; the end of the process by itself is no fault.
  died.catch(() => {});
  await Promise.race([once(child, "message"), died]);
  const waiting = new Map<number, (result: LoadResult) => void>();
  child.on("message", ({ id, result }: LoadReport) => {
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let lastId = 0;
  return {
    run(job) {
      const order: LoadOrder = { id: ++lastId, job };
      const result = new Promise<LoadResult>((resolve) => void waiting.set(order.id, resolve));
      child.send(order);
      return Promise.race([result, died]);
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
