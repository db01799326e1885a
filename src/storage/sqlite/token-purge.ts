/** Purges tokens from a database file, beside a service that may be running. */
import Database from "better-sqlite3";
import type { Change } from "../../domain/audit.ts";
import { StartError } from "../../domain/start-error.ts";
import type { CommandInput } from "../commands.ts";
import { prepareWrites, runCommand } from "./commands.ts";
import { openWriteConnection } from "./connection.ts";
import { finish } from "./dialect.ts";
import { toStartError } from "./errors.ts";
import { requireSchema } from "./migrations.ts";

/** Its methods throw a StartError that says what to do. */
export interface TokenPurge extends Disposable {
  /** How many tokens `purge` would delete. */
  count(endedBefore: Date, now: Date): number;
  /** `Storage.purgeTokens`, as one transaction. */
  purge(endedBefore: Date, limit: number, change: Change): number;
}

const BUSY_TIMEOUT_MS = 30_000;

/** @throws StartError that says what to do */
export function openTokenPurge(path: string): TokenPurge {
  const options = { path, busyTimeoutMs: BUSY_TIMEOUT_MS };
  const connection = attempt(path, () => {
    requireSchema(options);
    return openWriteConnection(options);
  });
  const writes = prepareWrites(connection);
  const run = connection.transaction(
    (input: CommandInput<"purgeTokens">) => runCommand(writes, "purgeTokens", input) as number,
  );
  return {
    count: (endedBefore, now) =>
      attempt(
        path,
        () => finish(writes.countEnded.get({ endedBefore: endedBefore.getTime(), now: now.getTime() })) ?? 0,
      ),
    purge: (endedBefore, limit, change) => attempt(path, () => run.immediate({ endedBefore, limit, change })),
    [Symbol.dispose]: () => void connection.close(),
  };
}

function attempt<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) {
      throw new StartError(`${path} is written by others all the time: try again when less is going on`);
    }
    throw toStartError(path, error);
  }
}
