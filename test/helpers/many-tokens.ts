/** A great many tokens for a deployment on SQLite, written by the storage engine's own code. */
import { hash } from "node:crypto";
import { systemChange } from "../../src/domain/audit.ts";
import type { Entropy } from "../../src/domain/clock.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import type { Profile } from "../../src/domain/profile.ts";
import { generateSecret } from "../../src/domain/secret-format.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { prepareWrites, runCommand } from "../../src/storage/sqlite/commands.ts";
import { openWriteConnection } from "../../src/storage/sqlite/connection.ts";
import { mintToken } from "../../src/usecases/issue-token.ts";

/** The product of a new deployment. */
export const PROFILE: Profile = watchplane();

/** From one token to the next. */
const STEP_MS = 1_000;

/**
 * Adds so many tokens, each with its event, to a database that no service has. `latchkey check` finds it whole.
 *
 * @param organization the public id of one of `PROFILE`
 */
export function addTokens(path: string, organization: string, count: number): void {
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
          const named = { ...wishes, name: nameOf(index) };
          const { newToken } = mintToken(deps, PROFILE, organizationId, named, by);
          runCommand(writes, "createToken", { newToken, change: systemChange(newToken.token.createdAt) });
        }
      })
      .immediate();
  } finally {
    connection.close();
  }
}

/** The name of such a token, from 0 on. */
export function nameOf(index: number): string {
  return `token ${index}`;
}

/** The secret of such a token, from 0 on. */
export function secretOf(index: number): string {
  return generateSecret(PROFILE.secretFormat, entropyOf(index));
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

function watchplane(): Profile {
  const profile = loadProfiles(undefined).get("watchplane");
  if (profile === undefined) throw new Error("there is no profile watchplane");
  return profile;
}
