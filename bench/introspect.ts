/**
 * `npm run bench -- introspect`: what a check of a token costs, next to the least that a call can cost on each
 * stack, in one run.
 */

import { randomBytes } from "node:crypto";
import { BatchIntrospectRequestSchema, IntrospectStreamRequestSchema } from "../gen/latchkey/v1/introspection_pb.ts";
import { generateSecret } from "../src/domain/secret-format.ts";
import { PROFILE } from "../test/helpers/many-tokens.ts";
import type { Figures } from "./bounds.ts";
import { startLoad } from "./load.ts";
import { type Measurement, named, type Outcome, ratio, tableOf } from "./measurement.ts";
import { callsOf, framed, introspects, issueTokens, questionOf } from "./questions.ts";
import { type Floor, type ServiceOptions, startFloor, startService } from "./server-process.ts";
import { measureInTurns, type Subject } from "./subjects.ts";

export interface IntrospectSize {
  readonly floors: readonly Floor[];
  readonly rounds: number;
  /** Calls of a subject in a round. */
  readonly calls: number;
  /** The turn before the first is so many times as long; as long where it isn't given. */
  readonly warmUp?: number;
  readonly tokens: number;
}

const BATCH = 100;
const MESSAGES_A_STREAM = 1_000;
const UNARY = "IntrospectionService/Introspect";

const FLOORS = {
  http2: "floor: node:http2, empty",
  grpc: "floor: grpc-js, empty",
  connect: "floor: Connect, empty",
} as const satisfies Readonly<Record<Floor, string>>;

const BATCHED = `BatchIntrospect of ${BATCH}`;

export async function benchIntrospect(isShort: boolean): Promise<Outcome> {
  // A turn is longer than uses wait to be written, so that it bears what that costs, and not the next one.
  const size = isShort ? { rounds: 5, calls: 4_000, tokens: 2_000 } : { rounds: 7, calls: 160_000, tokens: 10_000 };
  const measurements = await measureIntrospection({ ...size, floors: ["http2", "grpc", "connect"] });
  const floors = {
    "× http2": named(measurements, FLOORS.http2),
    "× grpc-js": named(measurements, FLOORS.grpc),
    "× Connect": named(measurements, FLOORS.connect),
  };
  const title = `A check of one of ${size.tokens.toLocaleString("en")} tokens`;
  return {
    tables: [tableOf(title, measurements, floors)],
    figures: figuresOf(measurements),
    bars: measurements.map((one) => ({ name: one.name, ratio: ratio(one, floors["× grpc-js"]) })),
  };
}

export type Ratios = ReturnType<typeof figuresOf>;

export function figuresOf(measurements: readonly Measurement[]) {
  const [floor, cached] = [named(measurements, FLOORS.grpc), named(measurements, "Introspect")];
  return {
    cached: ratio(cached, floor),
    uncached: ratio(named(measurements, "Introspect, cache off"), floor),
    batch: ratio(named(measurements, BATCHED), cached),
    stream: ratio(named(measurements, "IntrospectStream"), cached),
    garbage: ratio(named(measurements, "Introspect, garbage"), cached),
  } satisfies Figures;
}

export async function measureIntrospection(
  { floors, rounds, calls, tokens, warmUp }: IntrospectSize,
  build: ServiceOptions = {},
): Promise<Measurement[]> {
  await using resources = new AsyncDisposableStack();
  const service = resources.use(await startService({}, build));
  const uncached = resources.use(await startService({ LATCHKEY_CACHE_ENTRIES: "0" }, build));
  const load = resources.use(await startLoad());
  const secrets = (await issueTokens(service, tokens)).map(({ secret }) => secret);
  const readAnew = (await issueTokens(uncached, tokens)).map(({ secret }) => secret);

  const unary = { server: service, checks: 1 };
  const subjects: Subject[] = [];
  for (const floor of floors) {
    const server = resources.use(await startFloor(floor));
    // Connect takes several times as long: fewer calls of it take as long.
    const requests = floor === "connect" ? calls / 8 : calls;
    const job = { ...callsOf(service, UNARY, [Buffer.alloc(5)], requests), address: server.address };
    subjects.push({ ...unary, name: FLOORS[floor], server, job });
  }
  subjects.push(
    { ...unary, name: "Introspect", job: callsOf(service, UNARY, introspects(secrets), calls) },
    {
      ...unary,
      name: "Introspect, cache off",
      server: uncached,
      job: callsOf(uncached, UNARY, introspects(readAnew), calls),
    },
    {
      ...unary,
      name: "Introspect, garbage",
      job: callsOf(service, UNARY, introspects(secrets.map(mistyped)), calls),
    },
    {
      ...unary,
      name: "Introspect, well-formed and unknown",
      job: callsOf(service, UNARY, introspects(unknownSecrets(tokens)), calls),
    },
    {
      ...unary,
      name: BATCHED,
      checks: BATCH,
      // A batch is many checks: fewer of them take as long.
      job: callsOf(service, "IntrospectionService/BatchIntrospect", batches(secrets), calls / 5),
    },
    {
      ...unary,
      name: "IntrospectStream",
      // A question on a stream is less than a call: more of them take as long.
      job: {
        ...callsOf(service, "IntrospectionService/IntrospectStream", streamed(secrets), calls * 4),
        messagesPerStream: MESSAGES_A_STREAM,
      },
    },
  );
  // Awaited here, for the servers end with this function.
  return await measureInTurns(load, subjects, rounds, warmUp);
}

/** One whose checksum is wrong. */
export function mistyped(secret: string): string {
  return `${secret.slice(0, -1)}${secret.endsWith("0") ? "1" : "0"}`;
}

/** Nobody's, made by somebody who knows the checksum. */
function unknownSecrets(count: number): readonly string[] {
  return Array.from({ length: count }, () => generateSecret(PROFILE.secretFormat, randomBytes));
}

function batches(secrets: readonly string[]): readonly Uint8Array[] {
  const requests = secrets.map(questionOf);
  const messages = Array.from({ length: Math.ceil(requests.length / BATCH) }, (_, index) => ({
    requests: requests.slice(index * BATCH, (index + 1) * BATCH),
  }));
  return framed(BatchIntrospectRequestSchema, messages);
}

function streamed(secrets: readonly string[]): readonly Uint8Array[] {
  return framed(
    IntrospectStreamRequestSchema,
    secrets.map((secret) => ({ request: questionOf(secret) })),
  );
}
