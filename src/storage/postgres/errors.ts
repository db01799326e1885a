/** Turns what PostgreSQL and the network say into the service's own errors. */
import pg from "pg";
import { AppError } from "../../domain/errors.ts";
import { MISSING, notWritable, TAKEN } from "../errors.ts";

const UNIQUE_VIOLATION = "23505";
const FOREIGN_KEY_VIOLATION = "23503";

/** Two transactions waited for each other, and the server chose this one. */
const DEADLOCK_DETECTED = "40P01";

const LOCK_NOT_AVAILABLE = "55P03";

/** The failure of one command, in terms of the port. */
export function toCommandError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  switch (codeOf(error)) {
    case UNIQUE_VIOLATION:
      return new AppError("already_exists", TAKEN, { cause: error });
    case FOREIGN_KEY_VIOLATION:
      return new AppError("failed_precondition", MISSING, { cause: error });
    default:
      return notWritable(error);
  }
}

/** Whether somebody else held a lock for longer than this connection waits. */
export function isLockedOut(error: unknown): boolean {
  return codeOf(error) === LOCK_NOT_AVAILABLE;
}

export function isDeadlock(error: unknown): boolean {
  return codeOf(error) === DEADLOCK_DETECTED;
}

/**
 * Whether a newer version's migration has given a table other columns since this connection prepared the statement. The
 * connection can't run it any more, and another one can. The server's words for it depend on its language.
 */
export function isOutdatedPlan(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.routine === "RevalidateCachedQuery";
}

/** Whether the server itself refused a statement; anything else is the connection's trouble. */
export function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !/^(?:08|57P)/.test(error.code ?? "") && !isOutdatedPlan(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}
