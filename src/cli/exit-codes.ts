/** The program's exit codes. The README lists them too. */
// The codes alone: to load the whole library takes longer than to print help.
import { Status as status } from "@grpc/grpc-js/build/src/constants.js";

export const EXIT = {
  done: 0,
  failed: 1,
  misused: 2,
  tokenNotGood: 3,
  refused: 4,
  notFound: 5,
  unavailable: 6,
} as const;

const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: "done",
  failed: "failed, for a reason that has no code of its own",
  misused: "called wrongly: an unknown command or option, or a value that can't be meant",
  tokenNotGood: "`introspect` only: the token isn't good for the call",
  refused: "the credential is missing or not valid, or may not do that",
  notFound: "what was named isn't there, or isn't the caller's to see",
  unavailable: "nothing answers, not in time, or not now: try again",
};

const BY_STATUS: ReadonlyMap<number, number> = new Map([
  [status.UNAUTHENTICATED, EXIT.refused],
  [status.PERMISSION_DENIED, EXIT.refused],
  [status.NOT_FOUND, EXIT.notFound],
  [status.UNAVAILABLE, EXIT.unavailable],
  [status.DEADLINE_EXCEEDED, EXIT.unavailable],
]);

/** The exit code of a call that ended with a gRPC status. */
export function exitCodeOf(code: number): number {
  return BY_STATUS.get(code) ?? EXIT.failed;
}

export function exitCodesHelp(): string {
  const lines = Object.entries(MEANINGS).map(([name, meaning]) => `  ${EXIT[name as keyof typeof EXIT]}  ${meaning}`);
  return ["Exit codes:", "", ...lines].join("\n");
}
