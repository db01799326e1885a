/** Checks a database file in every way there is: what `check` prints, and what `backup` and `restore` insist on. */
import { type Check, checkDatabase } from "../app.ts";
import type { Checkpoint } from "../domain/checkpoint.ts";
import { StartError } from "../domain/start-error.ts";
import { verifyAuditLog } from "./audit-verify.ts";

export interface FileReport {
  /** Of the last change; undefined when that can't be read. */
  readonly revision: number | undefined;
  readonly checks: readonly Check[];
  /** Each fault with the check that found it. */
  readonly faults: readonly string[];
}

/**
 * @param name what the file is called in faults, if not by its path
 * @param checkpoints that the audit log must agree with
 * @throws StartError for a file that can't be opened
 */
export async function checkFile(
  path: string,
  name = path,
  checkpoints: readonly Checkpoint[] = [],
): Promise<FileReport> {
  const { revision, checks, hasAuditLog } = checkDatabase(path, name);
  const all = hasAuditLog ? [...checks, await checkAuditLog(path, checkpoints)] : checks;
  return {
    revision,
    checks: all,
    faults: all.flatMap((check) => check.faults.map((fault) => `${check.name}: ${fault}`)),
  };
}

/** @throws StartError that says what is wrong, when it isn't sound */
export async function assertSound(copy: string, name: string, refusal: string): Promise<FileReport> {
  const report = await checkFile(copy, name);
  if (report.faults.length > 0)
    throw new StartError([`${name} isn't sound, so ${refusal}:`, ...report.faults].join("\n"));
  return report;
}

async function checkAuditLog(path: string, checkpoints: readonly Checkpoint[]): Promise<Check> {
  const name = "audit";
  try {
    const { count, heads, fault, difference } = await verifyAuditLog(path, checkpoints);
    const compared = checkpoints.length === 0 ? "" : `, ${checkpoints.length} checkpoints`;
    const found = `${count} events in ${heads.length} chains, none edited${compared}`;
    return { name, found, faults: [fault ?? difference].filter((each) => each !== undefined) };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return { name, found: "", faults: [error.message] };
  }
}
