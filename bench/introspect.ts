/**
 * `npm run bench -- introspect`: what a check of a token costs, next to the least that a call can cost on each
 * stack, in one run. Rounds of all subjects take turns, so that a busy machine is as busy for all of them.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  BatchIntrospectRequestSchema,
  IntrospectRequestSchema,
  IntrospectStreamRequestSchema,
} from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../src/client/index.ts";
import { frame, type LoadJob, type LoadResult, startLoad } from "./load.ts";
import { type Measurement, median } from "./measurement.ts";
import {
  cpuMicros,
  peakMemory,
  type ServerProcess,
  type ServiceUnderTest,
  startFloor,
  startService,
} from "./server-process.ts";

export interface IntrospectBenchOptions {
  readonly rounds: number;
  /** Calls of a subject in a round. */
  readonly calls: number;
  readonly tokens: number;
}

interface Subject {
  readonly name: string;
  readonly server: ServerProcess;
  readonly path: string;
  readonly bodies: readonly Uint8Array[];
  /** Checks in one request. */
  readonly checks: number;
  readonly serviceKey: string;
  /** Questions on one stream; undefined for calls of one message. */
  readonly streamed?: number;
}

const SERVICE = "/latchkey.v1.IntrospectionService";
const BATCH = 100;
const CONNECTIONS = 4;
const CONCURRENCY = 64;
const ISSUERS = 256;

export async function benchIntrospect({ rounds, calls, tokens }: IntrospectBenchOptions): Promise<Measurement[]> {
  await using resources = new AsyncDisposableStack();
  const service = resources.use(await startService());
  const uncached = resources.use(await startService({ LATCHKEY_CACHE_ENTRIES: "0" }));
  const [http2, grpc, connect] = [
    resources.use(await startFloor("http2")),
    resources.use(await startFloor("grpc")),
    resources.use(await startFloor("connect")),
  ];
  const load = resources.use(await startLoad());
  const secrets = await issueTokens(service, tokens);
  const questions = secrets.map(questionOf);
  const garbage = secrets.map((secret) => questionOf(`${secret.slice(0, -1)}${secret.endsWith("0") ? "1" : "0"}`));
  const batches = chunks(questions, BATCH).map((requests) => frame(BatchIntrospectRequestSchema, { requests }));
  const { serviceKey } = service.credentials;
  const unary = { path: `${SERVICE}/Introspect`, checks: 1, serviceKey };
  const empty = [Buffer.alloc(5)];
  const asked = questions.map((question) => frame(IntrospectRequestSchema, question));
  const refused = garbage.map((question) => frame(IntrospectRequestSchema, question));
  const readAnew = (await issueTokens(uncached, Math.min(tokens, 1_000))).map((secret) =>
    frame(IntrospectRequestSchema, questionOf(secret)),
  );
  const subjects: readonly Subject[] = [
    { ...unary, name: "floor: node:http2, empty", server: http2, bodies: empty },
    { ...unary, name: "floor: grpc-js, empty", server: grpc, bodies: empty },
    { ...unary, name: "floor: Connect, empty", server: connect, bodies: empty },
    { ...unary, name: "Introspect", server: service, bodies: asked },
    {
      ...unary,
      name: "Introspect, cache off",
      server: uncached,
      bodies: readAnew,
      serviceKey: uncached.credentials.serviceKey,
    },
    { ...unary, name: "Introspect, garbage", server: service, bodies: refused },
    {
      ...unary,
      name: `BatchIntrospect of ${BATCH}`,
      path: `${SERVICE}/BatchIntrospect`,
      server: service,
      bodies: batches,
      checks: BATCH,
    },
    {
      ...unary,
      name: "IntrospectStream",
      path: `${SERVICE}/IntrospectStream`,
      server: service,
      bodies: questions.map((request) => frame(IntrospectStreamRequestSchema, { request })),
      streamed: 1_000,
    },
  ];
  const results = new Map(subjects.map(({ name }) => [name, [] as (LoadResult & { cpu: number })[]]));
  for (const subject of subjects) await load.run(jobOf(subject, calls));
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      const before = cpuMicros(subject.server.pid);
      const result = await load.run(jobOf(subject, calls));
      const cpu = (cpuMicros(subject.server.pid) - before) / (result.requests * subject.checks);
      results.get(subject.name)?.push({ ...result, cpu });
    }
  }
  return subjects.map(({ name, server, checks }) => {
    const all = results.get(name) ?? [];
    return {
      name,
      perSecond: median(all.map(({ requests, seconds }) => (requests * checks) / seconds)),
      p50Ms: median(all.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(all.map(({ p99Ms }) => p99Ms)),
      cpuMicros: median(all.map(({ cpu }) => cpu)),
      cpuMicrosByRound: all.map(({ cpu }) => cpu),
      peakMemory: peakMemory(server.pid),
    };
  });
}

function jobOf({ server, path, bodies, checks, serviceKey, streamed }: Subject, calls: number): LoadJob {
  return {
    address: server.address,
    path,
    bodies,
    headers: { "content-type": "application/grpc+proto", authorization: `Bearer ${serviceKey}` },
    // A batch is many checks: fewer of them take as long.
    requests: Math.ceil(calls / Math.min(checks, 10)),
    connections: CONNECTIONS,
    concurrency: CONCURRENCY,
    ...(streamed === undefined ? {} : { messagesPerStream: streamed }),
  };
}

async function issueTokens({ address, credentials }: ServiceUnderTest, count: number): Promise<string[]> {
  const client = createClient(TokenService, { address, token: credentials.serviceKey });
  const secrets: string[] = [];
  while (secrets.length < count) {
    const batch = Array.from({ length: Math.min(ISSUERS, count - secrets.length) }, async (_, index) => {
      const { organizationId } = credentials;
      return (await client.issue({ organizationId, name: `benchmark ${secrets.length + index}` })).secret;
    });
    secrets.push(...(await Promise.all(batch)));
  }
  client.close();
  return secrets;
}

const questionOf = (token: string): MessageInitShape<typeof IntrospectRequestSchema> => ({
  token,
  clientIp: "192.0.2.7",
});

function chunks<T>(all: readonly T[], size: number): readonly T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}
