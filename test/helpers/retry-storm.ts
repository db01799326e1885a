/** Sends calls with idempotency keys over and over, all at once, and over two protocols. */
import Database from "better-sqlite3";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../../src/client/index.ts";

/** So often each call is sent. */
export const RETRIES = 20;
const KEYS_AT_ONCE = 10;

export type StormOutcome = PromiseSettledResult<{ readonly key: string; readonly secret: string }>;

/**
 * Many keys at a time, the retries of each all at once, half of them over gRPC and half over REST, as one
 * and the same person. Each issues a token that is named after its key.
 *
 * @param token an access token
 */
export async function storm(
  addresses: { readonly grpc: string; readonly http: string },
  token: string,
  keys: readonly string[],
): Promise<readonly StormOutcome[]> {
  const tokens = createClient(TokenService, { address: addresses.grpc, token });
  const overGrpc = async (key: string): Promise<string> =>
    (await tokens.issue({ name: key, idempotencyKey: key }, { timeoutMs: 30_000 })).secret;
  const overRest = async (key: string): Promise<string> => {
    const response = await fetch(`http://${addresses.http}/api/v1/api-tokens`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify({ name: key }),
    });
    const { data } = (await response.json()) as { data: { token: string } };
    return data.token;
  };
  const waiting = keys.values();
  const outcomes: StormOutcome[] = [];
  const sendAll = async (): Promise<void> => {
    for (const key of waiting) {
      const calls = Array.from({ length: RETRIES }, async (_, retry) => ({
        key,
        secret: await (retry % 2 === 0 ? overGrpc : overRest)(key),
      }));
      outcomes.push(...(await Promise.allSettled(calls)));
    }
  };
  await Promise.all(Array.from({ length: KEYS_AT_ONCE }, sendAll));
  tokens.close();
  return outcomes;
}

/** The secrets that were answered, of which there should be one a key. */
export function secretsByKey(outcomes: readonly StormOutcome[]): Map<string, Set<string>> {
  const secrets = new Map<string, Set<string>>();
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") continue;
    const { key, secret } = outcome.value;
    secrets.set(key, (secrets.get(key) ?? new Set()).add(secret));
  }
  return secrets;
}

/** Tokens in the database file that carry one of these names. */
export function countTokens(path: string, names: readonly string[]): number {
  const connection = new Database(path, { readonly: true });
  try {
    const count = connection.prepare<[string], number>(
      "SELECT count(*) FROM tokens WHERE name IN (SELECT value FROM json_each(?))",
    );
    return count.pluck().get(JSON.stringify(names)) ?? 0;
  } finally {
    connection.close();
  }
}
