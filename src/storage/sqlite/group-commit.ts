/** Runs many commands in one transaction, so that they share the price of making it durable. */
import type Database from "better-sqlite3";
import { prepareWrites, runCommand, runOnce } from "./commands.ts";
import { finish } from "./dialect.ts";
import { toCommandError, toTransactionError } from "./errors.ts";
import type { CommandReply, CommandRequest } from "./messages.ts";

export type CommitGroup = (requests: readonly CommandRequest[]) => readonly CommandReply[];

/**
 * Makes the function that runs a group and answers in its order, after the group is durable.
 *
 * A command that fails is undone alone. When the transaction can't begin or commit, all of them fail and
 * nothing of them is stored. It throws only when the connection can't be used any more.
 *
 * @param onChange called before anybody is answered, when events were committed or may have been
 */
export function groupCommitter(connection: Database.Database, onChange: () => void = () => {}): CommitGroup {
  const writes = prepareWrites(connection);
  const begin = connection.prepare("BEGIN IMMEDIATE");
  const commit = connection.prepare("COMMIT");
  const rollback = connection.prepare("ROLLBACK");
  const savepoint = connection.prepare("SAVEPOINT command");
  const release = connection.prepare("RELEASE command");
  const undo = connection.prepare("ROLLBACK TO command");

  function run({ id, name, input, record }: CommandRequest): CommandReply {
    const value = record === undefined ? runCommand(writes, name, input) : runOnce(writes, name, input, record);
    return { id, ok: true, value };
  }

  function runAlone(request: CommandRequest): CommandReply {
    savepoint.run();
    try {
      const reply = run(request);
      release.run();
      return reply;
    } catch (error) {
      assertInTransaction(error);
      undo.run();
      release.run();
      return { id: request.id, ok: false, error: toCommandError(error) };
    }
  }

  /**
   * Commands seldom fail, and a savepoint for each would cost as much as the rest of it: it keeps a copy of every
   * page that the command changes. So they run without, and all of them once more, now with savepoints, when one
   * fails. A command reads and writes nothing but the database, so it does the same each time.
   */
  function runAll(requests: readonly CommandRequest[]): readonly CommandReply[] {
    try {
      return requests.map(run);
    } catch (error) {
      assertInTransaction(error);
      rollback.run();
      begin.run();
      return requests.map(runAlone);
    }
  }

  /** SQLite ends the whole transaction by itself on some errors, a full disk for one. */
  function assertInTransaction(error: unknown): void {
    if (!connection.inTransaction) throw error;
  }

  return (requests) => {
    try {
      begin.run();
      const before = finish(writes.getRevision.get());
      const replies = runAll(requests);
      const after = finish(writes.getRevision.get());
      commit.run();
      if (after !== before) onChange();
      return replies;
    } catch (error) {
      // Whether a commit that failed is stored after all, nobody knows.
      onChange();
      if (connection.inTransaction) rollback.run();
      const failure = toTransactionError(error);
      return requests.map(({ id }) => ({ id, ok: false, error: failure }));
    }
  };
}
