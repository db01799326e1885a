/** What the benchmarks must show: every bound, in one table. */
import type { Table } from "./measurement.ts";

interface Bound {
  /** What is measured. Of ratios without another word, it is server CPU of a check. */
  readonly says: string;
  readonly unit: "×" | "ms" | "MB" | "";
  readonly atMost?: number;
  readonly atLeast?: number;
}

const BOUNDS = {
  cached: { says: "Introspect, cached, to an empty grpc-js call", unit: "×", atMost: 1 },
  uncached: { says: "Introspect, cache off, to an empty grpc-js call", unit: "×", atMost: 1.5 },
  batch: { says: "a token of a BatchIntrospect of 100 to an Introspect", unit: "×", atMost: 0.06 },
  stream: { says: "a question of an IntrospectStream to an Introspect", unit: "×", atMost: 0.4 },
  garbage: { says: "a refusal of garbage to a good Introspect", unit: "×", atMost: 0.9 },
  betterAuthSqlite: { says: "better-auth with SQLite to Introspect", unit: "×", atLeast: 15 },
  betterAuthMemory: { says: "better-auth in memory to Introspect", unit: "×", atLeast: 3 },
  oidcProvider: { says: "oidc-provider in memory to Introspect", unit: "×", atLeast: 3 },
  million: { says: "Introspect, cache off, of 1,000,000 tokens to one of 10,000", unit: "×", atMost: 1.15 },
  ready: { says: "ready with 1,000,000 tokens", unit: "ms", atMost: 1_500 },
  memory: { says: "resident memory with 100,000 tokens in the cache", unit: "MB", atMost: 300 },
  twoThreads: { says: "checks a second of two threads to one", unit: "×", atLeast: 1.6 },
  p99Garbage: { says: "p99 of Introspect while half of all calls are garbage, to none", unit: "×", atMost: 1.5 },
  p99Churn: { says: "p99 of Introspect under 100 issues and 100 revokes a second, to none", unit: "×", atMost: 1.5 },
  syncsAnIssue: { says: "syncs of the disk an issue, of 64 clients", unit: "", atMost: 0.1 },
  issues: { says: "issues a second with group commit to without, on this disk", unit: "×", atLeast: 3 },
  issuesSlowDisk: { says: "the same on a disk whose syncs take 5 ms longer", unit: "×", atLeast: 3 },
  postgres: { says: "Introspect, cached, on PostgreSQL to one on SQLite", unit: "×", atMost: 1.05 },
  postgresStatements: { says: "statements at PostgreSQL of 100,000 cached checks at full rate", unit: "", atMost: 200 },
} as const satisfies Readonly<Record<string, Bound>>;

export type FigureName = keyof typeof BOUNDS;
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

export interface Judgement {
  readonly table: Table;
  readonly passed: number;
  readonly failed: number;
}

/** Holds figures against their bounds. @param all whether one that wasn't measured has failed */
export function judge(figures: Figures, all: boolean): Judgement {
  const judged = Object.entries<Bound>(BOUNDS).flatMap(([name, bound]) => {
    const figure = figures[name as FigureName];
    if (figure === undefined && !all) return [];
    const { says, unit, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = bound;
    const isKept = figure !== undefined && figure <= atMost && figure >= atLeast;
    const limit = bound.atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
    const shown = figure === undefined ? "not measured" : withUnit(figure, unit);
    return [{ isKept, row: [says, shown, `${limit} ${unit}`.trimEnd(), isKept ? "yes" : "NO"] }];
  });
  const passed = judged.filter(({ isKept }) => isKept).length;
  return {
    table: {
      title: "Bounds",
      headings: ["figure", "measured", "bound", "kept"],
      rows: judged.map(({ row }) => row),
    },
    passed,
    failed: judged.length - passed,
  };
}

export function nameOf(figure: FigureName): string {
  return BOUNDS[figure].says;
}

function withUnit(figure: number, unit: Bound["unit"]): string {
  const digits = figure >= 100 ? 0 : figure >= 10 ? 1 : figure >= 0.1 ? 2 : 3;
  return `${figure.toFixed(digits)} ${unit}`.trimEnd();
}
