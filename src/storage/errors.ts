/** What an engine's failures are called in terms of the port. */
import { AppError } from "../domain/errors.ts";

/** Of a conflict, whichever value it is about. */
export const TAKEN = "Its id, or another value that must be unique, is taken.";

/** Of a reference, whatever it is to. */
export const MISSING = "It refers to something that doesn't exist.";

export const NOT_WRITABLE = "The database can't be written at the moment.";

/** The failure of a read. */
export function readError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError("unavailable", "The database can't be read at the moment.", { cause: error });
}

export function notWritable(cause: unknown): AppError {
  return new AppError("unavailable", NOT_WRITABLE, { cause });
}
