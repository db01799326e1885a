/** What a trial is: something that is done to the real service many times, and that must never do harm. */
import type { BuildName } from "../test/helpers/altered-builds.ts";
import { Finding } from "../test/helpers/deployment.ts";
import type { Random } from "./random.ts";

export interface Trial {
  readonly name: string;
  /** What is done, in a few words. */
  readonly does: string;
  /** How often: kills, rounds, keys, flips or calls. `short` takes a few seconds, for CI. */
  readonly trials: {
    readonly full: number;
    readonly short: number;
    /** As many as find a broken build out for certain; the default is `short`. */
    readonly selftest?: number;
  };
  /** Whether it judges times so short that a busy machine would show in them: then nothing runs beside it. */
  readonly isTimed: boolean;
  /** Broken builds of the service that it must find out. */
  readonly mustCatch: readonly BuildName[];
  /**
   * Resolves with what was counted.
   *
   * @throws Finding when the service does what it must not, anything else when the trial itself can't go on
   */
  run(task: Task): Promise<string>;
}

export interface Task {
  readonly trials: number;
  readonly random: Random;
  /** The trial's own, and empty. It is kept when the trial finds something. */
  readonly folder: string;
}

/** @throws Finding with the first few, where there are any */
export function expectNone(what: string, found: readonly unknown[]): void {
  if (found.length === 0) return;
  const some = found.slice(0, 3).map(String).join("; ");
  throw new Finding(`${found.length} ${what}: ${some}${found.length > 3 ? " …" : ""}`);
}

/** `12,345 issues`, `1 issue`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en-US")} ${number === 1 ? one : many}`;
}
