/**
 * Fails when proto/ breaks what callers already use: the newest release tag that HEAD contains or, before the first
 * release, the first commit that holds buf.yaml. Comparing with a branch would compare main with itself.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The lines that git prints. Throws when git fails. */
function git(...args: string[]): string[] {
  return execFileSync("git", args, { encoding: "utf8" }).split("\n").filter(Boolean);
}

function hasHead(): boolean {
  return spawnSync("git", ["rev-parse", "--verify", "--quiet", "HEAD"]).status === 0;
}

/** What to compare with; undefined in a repository without a commit. */
function findBase(): string | undefined {
  if (git("rev-parse", "--is-shallow-repository")[0] === "true") {
    throw new Error("This clone is shallow, so the base can't be found. Run `git fetch --unshallow --tags` first.");
  }
  if (!hasHead()) {
    if (git("rev-list", "--all", "--max-count=1").length > 0) {
      throw new Error("HEAD has no commit although the repository has some. Check out a branch first.");
    }
    return undefined;
  }
  // versionsort.suffix puts v1.0.0-rc.1 before v1.0.0.
  const newestTag = ["-c", "versionsort.suffix=-", "tag", "--merged=HEAD", "--sort=-version:refname", "--list", "v*"];
  const [base] = [...git(...newestTag), ...git("rev-list", "--reverse", "HEAD", "--", "buf.yaml")];
  if (base === undefined) throw new Error("No commit holds buf.yaml yet. Commit it first.");
  return base;
}

function compareWith(base: string): number {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-breaking-"));
  try {
    // An archive works for any commit, and from a linked worktree; buf's own git input needs a branch, a tag or a
    // commit that is near one.
    const archive = join(folder, "base.tar");
    git("archive", "--format=tar", `--output=${archive}`, base);
    return spawnSync("buf", ["breaking", "--against", archive], { stdio: "inherit" }).status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  const base = findBase();
  console.log(base === undefined ? "No commit yet, so there is nothing to compare with." : `Comparing with ${base}.`);
  if (base !== undefined) process.exitCode = compareWith(base);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
