/** Turns what SQLite and the file system say into the service's own errors. */
import Database from "better-sqlite3";
import { AppError, type ErrorKind, type ErrorReason } from "../../domain/errors.ts";
import { StartError } from "../../domain/start-error.ts";
import { MISSING, NOT_WRITABLE, TAKEN } from "../errors.ts";

/** An error on its way from the writer thread: structured clone keeps no classes. */
export interface SentError {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly reason?: ErrorReason | undefined;
  /** What the driver said. For the log only. */
  readonly detail: string;
}

/** The failure of one command, in terms of the port. */
export function toCommandError(error: unknown): SentError {
  if (error instanceof AppError) {
    const { kind, message, reason } = error;
    return { kind, message, reason, detail: message };
  }
  switch (codeOf(error)) {
    case "SQLITE_CONSTRAINT_PRIMARYKEY":
    case "SQLITE_CONSTRAINT_UNIQUE":
      return {
        kind: "already_exists",
        message: TAKEN,
        detail: describe(error),
      };
    case "SQLITE_CONSTRAINT_FOREIGNKEY":
      return {
        kind: "failed_precondition",
        message: MISSING,
        detail: describe(error),
      };
    default:
      return toTransactionError(error);
  }
}

/** The failure of a whole transaction, whatever it was. */
export function toTransactionError(error: unknown): SentError {
  return { kind: "unavailable", message: NOT_WRITABLE, detail: describe(error) };
}

export function fromSentError({ kind, message, reason, detail }: SentError): AppError {
  return new AppError(kind, message, { ...(reason === undefined ? {} : { reason }), cause: new Error(detail) });
}

/** The driver's own words, for the log. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  return code === undefined ? error.message : `${code}: ${error.message}`;
}

/** Says in one line why the database file can't be served, and what to do about it. */
export function toStartError(path: string, error: unknown): StartError {
  if (error instanceof StartError) return error;
  return new StartError(`${path} ${startAdvice(error)}`, { cause: error });
}

/** Says in one line why a database file can't be read where no service runs. */
export function toReadError(path: string, error: unknown): StartError {
  const code = codeOf(error) ?? "";
  if (!/^SQLITE_(CANTOPEN|READONLY)|^E[A-Z]+$/.test(code)) return toStartError(path, error);
  return new StartError(`${path} can't be read (${code}): check the path, and the owner and mode of the file`, {
    cause: error,
  });
}

/** Says in one line why a file couldn't be copied: damage is the one's, anything else the other's. */
export function toCopyError(from: string, to: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  return /^SQLITE_(CORRUPT|NOTADB)/.test(code) ? toReadError(from, error) : toStartError(to, error);
}

function startAdvice(error: unknown): string {
  const code = codeOf(error) ?? "";
  if (code.startsWith("SQLITE_NOTADB")) return "is not a SQLite database: choose another file";
  if (code.startsWith("SQLITE_CORRUPT")) return "is damaged: restore it from a backup";
  if (code.startsWith("SQLITE_BUSY")) return "is locked by another program: end that one, then start again";
  if (code.startsWith("SQLITE_FULL") || code === "ENOSPC") return "can't be written, the disk is full: free some space";
  if (code.startsWith("SQLITE_IOERR")) return `can't be read or written (${code}): check the disk`;
  if (code.startsWith("SQLITE_CANTOPEN") || code.startsWith("SQLITE_READONLY") || /^E[A-Z]+$/.test(code)) {
    return `can't be opened for writing (${code}): check the path, and the owner and mode of the file and its directory`;
  }
  return `can't be served: ${describe(error)}`;
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof Database.SqliteError) return error.code;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}
