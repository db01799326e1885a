/** How often a method was called, how that ended, and how long it took. */
import { Histogram, LATENCY_SECONDS } from "../domain/histogram.ts";
import type { Protocol } from "./call.ts";
import { OK, STATUS, type Status } from "./status.ts";

const PROTOCOLS: readonly Protocol[] = ["grpc", "grpc-web", "connect", "rest"];

/** The names of codes by their numbers. */
const CODES = new Map([OK, ...Object.values(STATUS)].map(({ code, name }) => [code, name]));
const PLACES = Math.max(...CODES.keys()) + 1;

export interface CountedCalls {
  readonly protocol: Protocol;
  readonly code: string;
  readonly calls: number;
}

export class CallCounts {
  readonly method: string;
  /** Undefined of a method that streams: how long a stream lives is up to the client. */
  readonly seconds: Histogram | undefined;
  /** By the numbers of the codes. */
  readonly #calls: Readonly<Record<Protocol, Float64Array>> = {
    grpc: new Float64Array(PLACES),
    "grpc-web": new Float64Array(PLACES),
    connect: new Float64Array(PLACES),
    rest: new Float64Array(PLACES),
  };

  constructor(method: string, isUnary: boolean) {
    this.method = method;
    this.seconds = isUnary ? new Histogram(LATENCY_SECONDS) : undefined;
  }

  count(protocol: Protocol, { code }: Status, durationMs: number): void {
    const calls = this.#calls[protocol];
    calls[code] = (calls[code] as number) + 1;
    this.seconds?.observe(durationMs / 1000);
  }

  /** Leaves out what never happened. */
  *[Symbol.iterator](): Generator<CountedCalls> {
    for (const protocol of PROTOCOLS) {
      for (const [code, name] of CODES) {
        const calls = this.#calls[protocol][code] ?? 0;
        if (calls > 0) yield { protocol, code: name, calls };
      }
    }
  }
}
