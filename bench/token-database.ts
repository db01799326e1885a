/** Deployments with a great many tokens, kept in the folder for temporary files: a second run copies them. */
import { hash } from "node:crypto";
import { constants, cpSync, existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MIGRATIONS } from "../src/storage/sqlite/migrations.ts";
import { addTokens } from "../test/helpers/many-tokens.ts";
import { startService } from "./server-process.ts";

/** One for each way that they have been made. */
const MAKE = 2;

export interface TokenDatabase extends Disposable {
  /** Its data folder, which nobody else has. */
  readonly folder: string;
}

/** Makes a deployment with so many tokens, or copies it from an earlier run. `latchkey check` finds it whole. */
export async function tokenDatabase(count: number): Promise<TokenDatabase> {
  const schema = hash("sha256", MIGRATIONS.map(({ sql }) => sql).join()).slice(0, 12);
  const kept = join(tmpdir(), `latchkey-bench-${count}-tokens-${schema}-${MAKE}`);
  if (!existsSync(kept)) {
    const making = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
    const service = await startService({}, { folder: making });
    const { organizationId } = service.credentials;
    await service[Symbol.asyncDispose]();
    addTokens(join(making, "latchkey.db"), organizationId, count);
    renameSync(making, kept);
  }
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
  cpSync(kept, folder, { recursive: true, mode: constants.COPYFILE_FICLONE });
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}
