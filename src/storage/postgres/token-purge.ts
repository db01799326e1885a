/** Purges tokens from a database, beside services that may be running. */
import type { Change } from "../../domain/audit.ts";
import type { PostgresSettings } from "../../domain/postgres-settings.ts";
import { prepareWrites } from "../commands.ts";
import { clientOptions, connect, discard, TIMEOUTS, toStartError } from "./connection.ts";
import { perform, postgresDialect } from "./dialect.ts";
import { commitGroup } from "./group-commit.ts";
import { requireSchema } from "./migrations.ts";

/** Its methods throw a StartError that says what to do. */
export interface TokenPurge extends AsyncDisposable {
  /** How many tokens `purge` would delete. */
  count(endedBefore: Date, now: Date): Promise<number>;
  /** `Storage.purgeTokens`, as one transaction. */
  purge(endedBefore: Date, limit: number, change: Change): Promise<number>;
}

const LOCK_MS = 30_000;

const { countEnded } = prepareWrites(postgresDialect("p"));

/** @throws StartError that says what to do */
export async function openTokenPurge(settings: PostgresSettings): Promise<TokenPurge> {
  const attempt = async <Result>(action: () => Promise<Result>): Promise<Result> => {
    try {
      return await action();
    } catch (error) {
      throw toStartError(settings, error);
    }
  };
  const client = await attempt(async () => {
    await requireSchema(settings);
    const timeouts = { ...TIMEOUTS, statementMs: LOCK_MS, lockMs: LOCK_MS };
    return connect({ ...clientOptions(settings, timeouts), pipeline: true });
  });
  return {
    count: (endedBefore, now) =>
      attempt(async () => {
        const work = countEnded.get({ endedBefore: endedBefore.getTime(), now: now.getTime() });
        return (await perform(work, ({ name, text, values }) => client.query({ name, text, values }))) ?? 0;
      }),
    purge: (endedBefore, limit, change) =>
      attempt(async () => {
        const { outcomes } = await commitGroup(client, [
          { name: "purgeTokens", input: { endedBefore, limit, change } },
        ]);
        const [outcome] = outcomes;
        if (outcome?.ok !== true) throw outcome?.error ?? new Error("a purge has no outcome");
        return outcome.value as number;
      }),
    [Symbol.asyncDispose]: async () => discard(client),
  };
}
