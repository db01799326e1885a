/** The root key's file, for deployments that don't give the key as a setting. */
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Entropy } from "../domain/clock.ts";
import { formatRootKey, parseRootKey, ROOT_KEY_BYTES } from "../domain/root-key.ts";
import { StartError } from "../domain/start-error.ts";

/** @throws StartError when the file is missing or holds no root key. */
export async function readRootKeyFile(path: string): Promise<Uint8Array> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    throw new StartError(
      `The root key ${path} can't be read: put it back, set LATCHKEY_ROOT_KEY, or run \`latchkey bootstrap\` for a new deployment`,
    );
  }
  const key = parseRootKey(text);
  if (key === undefined)
    throw new StartError(`The file ${path} holds no root key (32 bytes in base64url): put the right one back`);
  return key;
}

/** Makes a root key in a new file that only its owner may read. One that is there already is used. */
export async function ensureRootKeyFile(path: string, entropy: Entropy): Promise<Uint8Array> {
  const key = entropy(ROOT_KEY_BYTES);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(`${formatRootKey(key)}\n`);
    await file.sync();
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return readRootKeyFile(path);
    throw new StartError(
      `The root key ${path} can't be written (${(error as Error).message}): set LATCHKEY_DATA_DIR to a folder that can`,
    );
  }
}
