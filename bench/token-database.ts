/**
 * Deployments with a great many tokens, written by the storage engine's own code, and kept in the folder for
 * temporary files: a second run copies them.
 */
import { hash } from "node:crypto";
import { constants, cpSync, existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemChange } from "../src/domain/audit.ts";
import type { Entropy } from "../src/domain/clock.ts";
import { fromPublicId } from "../src/domain/ids.ts";
import { generateSecret } from "../src/domain/secret-format.ts";
import { prepareWrites, runCommand } from "../src/storage/sqlite/commands.ts";
import { openWriteConnection } from "../src/storage/sqlite/connection.ts";
import { MIGRATIONS } from "../src/storage/sqlite/migrations.ts";
import { mintToken } from "../src/usecases/issue-token.ts";
import { PROFILE } from "./questions.ts";
import { startService } from "./server-process.ts";

/** One for each way that this file has made them. */
const MAKE = 1;

/** From one token to the next. */
const STEP_MS = 1_000;

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
    fill(join(making, "latchkey.db"), organizationId, count);
    renameSync(making, kept);
  }
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
  cpSync(kept, folder, { recursive: true, mode: constants.COPYFILE_FICLONE });
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

/** The secret of a token of such a deployment, from 0 on. */
export function secretOf(index: number): string {
  return generateSecret(PROFILE.secretFormat, entropyOf(index));
}

function fill(path: string, organization: string, count: number): void {
  const organizationId = fromPublicId("org", organization);
  if (organizationId === undefined) throw new Error(`${organization} isn't an id`);
  const connection = openWriteConnection({ path, busyTimeoutMs: 0 });
  try {
    // If the power fails, it is made anew.
    connection.pragma("synchronous = OFF");
    connection.pragma(`cache_size = -${1024 * 1024}`);
    const writes = prepareWrites(connection);
    const wishes = { type: "", permission: "", scopes: [], expiresAt: undefined, ipAllowlist: [], metadata: {} };
    const by = { createdBy: "system", userId: undefined };
    const start = Date.now() - count * STEP_MS;
    connection
      .transaction(() => {
        for (let index = 0; index < count; index++) {
          const deps = { clock: () => start + index * STEP_MS, entropy: entropyOf(index) };
          const named = { ...wishes, name: `benchmark ${index}` };
          const { newToken } = mintToken(deps, PROFILE, organizationId, named, by);
          runCommand(writes, "createToken", { newToken, change: systemChange(newToken.token.createdAt) });
        }
      })
      .immediate();
  } finally {
    connection.close();
  }
}

/** The same bytes for the same token in every run, and others for every other one. */
function entropyOf(index: number): Entropy {
  let draw = 0;
  return (length) => {
    const bytes = Buffer.concat(
      Array.from({ length: Math.ceil(length / 64) }, (_, block) =>
        hash("sha512", `token ${index}, draw ${draw}, block ${block}`, "buffer"),
      ),
    );
    draw++;
    return bytes.subarray(0, length);
  };
}
