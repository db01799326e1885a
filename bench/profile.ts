/**
 * `npm run bench -- profile`: where the time of a cached check goes. The service runs under V8's profiler, which
 * looks a thousand times a second at what its main thread does; only what it saw under load counts.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLoad } from "./load.ts";
import type { Outcome } from "./measurement.ts";
import { callsOf, introspects, issueTokens } from "./questions.ts";
import { startService } from "./server-process.ts";

const TOKENS = 10_000;
const CALLS = 60_000;

/** A V8 CPU profile, as far as it is read here. Times are microseconds of the machine's monotonic clock. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly startTime: number;
  /** The node that ran at each look. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The first that fits a function's file is its layer. */
const LAYERS: readonly { readonly name: string; readonly files: RegExp }[] = [
  { name: "Node's JavaScript: HTTP/2, streams, timers", files: /^node:/ },
  { name: "grpc-js", files: /\/node_modules\/@grpc\// },
  { name: "protobuf-es", files: /\/node_modules\/@bufbuild\// },
  { name: "other packages", files: /\/node_modules\// },
  { name: "Latchkey: gRPC, bytes in and out", files: /\/src\/grpc\// },
  { name: "Latchkey: pipeline and handlers", files: /\/src\/rpc\// },
  { name: "Latchkey: use cases, with cache and decision", files: /\/src\/(?:usecases|domain|profiles)\// },
  { name: "Latchkey: the rest", files: /\/(?:src|gen)\// },
];
const COLLECTOR = "garbage collector";
/** What V8 shows without a name and a file: nghttp2, libuv and the kernel under it. */
const NATIVE = "native: nghttp2, sockets, the kernel";

export async function benchProfile(isShort: boolean): Promise<Outcome> {
  const [tokens, calls] = isShort ? [1_000, 10_000] : [TOKENS, CALLS];
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
  try {
    const span = await profileService(folder, tokens, calls);
    const micros = microsByLayer(readProfiles(folder), span);
    const total = micros.values().reduce((sum, one) => sum + one, 0);
    const rows = [...micros].toSorted(([, one], [, two]) => two - one);
    return {
      tables: [
        {
          title: "Where the time of a cached check goes, on the main thread",
          headings: ["layer", "µs", "%"],
          rows: rows.map(([name, one]) => [name, (one / calls).toFixed(1), ((100 * one) / total).toFixed(1)]),
        },
      ],
      figures: {},
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
}

async function profileService(folder: string, tokens: number, calls: number): Promise<Span> {
  await using load = await startLoad();
  await using service = await startService({}, { nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${folder}`] });
  const secrets = (await issueTokens(service, tokens)).map(({ secret }) => secret);
  const job = callsOf(service, "IntrospectionService/Introspect", introspects(secrets), calls);
  await load.run(job);
  const from = monotonicMicros();
  await load.run(job);
  return { from, to: monotonicMicros() };
}

function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Of all threads: the service writes them when it ends. */
function readProfiles(folder: string): readonly CpuProfile[] {
  return readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as CpuProfile);
}

function microsByLayer(profiles: readonly CpuProfile[], span: Span): ReadonlyMap<string, number> {
  const micros = new Map<string, number>();
  // The main thread is the one that handles calls; the writer hardly does anything here.
  for (const profile of profiles.filter(({ nodes }) =>
    nodes.some(({ callFrame }) => /\/src\/grpc\//.test(callFrame.url)),
  )) {
    const layers = new Map(profile.nodes.map(({ id, callFrame }) => [id, layerOf(callFrame)]));
    let now = profile.startTime;
    for (const [index, id] of profile.samples.entries()) {
      now += profile.timeDeltas[index] ?? 0;
      const layer = layers.get(id);
      if (layer === undefined || now < span.from || now > span.to) continue;
      // A sample stands for the time until the next one.
      micros.set(layer, (micros.get(layer) ?? 0) + (profile.timeDeltas[index + 1] ?? 0));
    }
  }
  return micros;
}

/** Undefined while the thread waits. */
function layerOf({ functionName, url }: CpuProfile["nodes"][number]["callFrame"]): string | undefined {
  if (functionName === "(idle)") return undefined;
  if (functionName === "(garbage collector)") return COLLECTOR;
  return LAYERS.find(({ files }) => files.test(url))?.name ?? NATIVE;
}
