/** `npm run bench -- rivals`: what a check costs others, on the same work, in the same run. */
import { startLoad } from "./load.ts";
import { type Outcome, ratio, tableOf } from "./measurement.ts";
import { callsOf, introspects, issueTokens } from "./questions.ts";
import type { Rival } from "./rival-server.ts";
import { startFloor, startRival, startService } from "./server-process.ts";
import { measureInTurns, type Subject } from "./subjects.ts";

const KEYS = 10_000;
const ROUNDS = 7;
const UNARY = "IntrospectionService/Introspect";

const RIVALS: readonly { readonly rival: Rival; readonly name: string; readonly calls: number }[] = [
  { rival: "better-auth-sqlite", name: "better-auth, SQLite", calls: 4_000 },
  { rival: "better-auth-memory", name: "better-auth, in memory", calls: 10_000 },
  { rival: "oidc-provider", name: "oidc-provider, in memory", calls: 10_000 },
];

export async function benchRivals(isShort: boolean): Promise<Outcome> {
  const [keys, rounds, share] = isShort ? [1_000, 5, 0.2] : [KEYS, ROUNDS, 1];
  await using resources = new AsyncDisposableStack();
  const service = resources.use(await startService());
  const grpc = resources.use(await startFloor("grpc"));
  const load = resources.use(await startLoad());
  const secrets = (await issueTokens(service, keys)).map(({ secret }) => secret);
  const asked = callsOf(service, UNARY, introspects(secrets), 20_000 * share);
  const subjects: Subject[] = [
    {
      name: "floor: grpc-js, empty",
      server: grpc,
      checks: 1,
      job: { ...asked, address: grpc.address, bodies: [Buffer.alloc(5)] },
    },
    { name: "Introspect", server: service, checks: 1, job: asked },
  ];
  for (const { rival, name, calls } of RIVALS) {
    const server = resources.use(await startRival(rival, keys));
    const { address, path, headers, expects } = server;
    const bodies = server.bodies.map((body) => Buffer.from(body));
    const { connections, concurrency } = asked;
    const requests = calls * share;
    const job = { address, path, headers, bodies, expects, connections, concurrency, requests };
    subjects.push({ name, server, checks: 1, job });
  }
  const measurements = await measureInTurns(load, subjects, rounds);
  const [floor, ours, sqlite, memory, oidc] = measurements;
  if (!floor || !ours || !sqlite || !memory || !oidc) throw new Error("not all were measured");
  return {
    tables: [
      tableOf(`Others, on ${keys.toLocaleString("en")} keys`, measurements, {
        "× grpc-js": floor,
        "× Introspect": ours,
      }),
    ],
    figures: {
      betterAuthSqlite: ratio(sqlite, ours),
      betterAuthMemory: ratio(memory, ours),
      oidcProvider: ratio(oidc, ours),
    },
    bars: [ours, sqlite, memory, oidc].map((one) => ({ name: one.name, ratio: ratio(one, floor) })),
  };
}
