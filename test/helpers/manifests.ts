/** Reads deployment files as people write them, and starts of them what only a container runtime would. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { formatRootKey } from "../../src/domain/root-key.ts";
import { fileVariableOf, SETTINGS, type Setting } from "../../src/settings.ts";

export const ROOT = join(import.meta.dirname, "../..");

export const readFromRoot = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");

export async function readYaml<T>(path: string): Promise<T> {
  return parse(await readFromRoot(path), { merge: true }) as T;
}

/** Every document of a file. */
export async function readManifests<T>(path: string): Promise<readonly T[]> {
  return parseAllDocuments(await readFromRoot(path)).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors.join("; ")}`);
    return document.toJS() as T;
  });
}

/** Seconds of `10s` and `5m`. */
export function secondsOf(text: string): number {
  const [, count, unit] = /^(\d+)(s|m)$/.exec(text) ?? [];
  if (count === undefined) throw new Error(`not a time: ${text}`);
  return Number(count) * (unit === "m" ? 60 : 1);
}

/**
 * An environment as its container has it, but that the files of secrets, which nothing mounts here, lie in a folder of
 * this test's own.
 */
export async function withSecrets(
  env: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { readonly env: Readonly<Record<string, string>> }> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-secrets-"));
  const mounted: Record<string, string> = { ...env };
  const secret = join(folder, "secret");
  // Every secret of ours takes the form of a root key.
  await writeFile(secret, formatRootKey(new Uint8Array(32).fill(1)));
  for (const setting of Object.values<Setting>(SETTINGS)) {
    if (setting.secret && mounted[fileVariableOf(setting)] !== undefined) mounted[fileVariableOf(setting)] = secret;
  }
  return { env: mounted, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}
