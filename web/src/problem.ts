/** What went wrong, in the words of people. */

/** Says what to do about a failure. */
export class Problem extends Error {
  /** The Connect code, or `offline` where no answer came. */
  readonly code: string;
  /** The request's field that is at fault, as the API names it; undefined for none. */
  readonly field: string | undefined;

  constructor(code: string, message: string, field?: string) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

export const offline = (): Problem =>
  new Problem("offline", "The service can’t be reached. Check your connection, then try again.");

/** @param retryAfterSeconds what the answer says of when to come back */
export function problemOf(code: string, message: string, retryAfterSeconds: number): Problem {
  switch (code) {
    case "resource_exhausted":
      return new Problem(code, `That was too often. Try again ${inWords(retryAfterSeconds)}.`);
    case "unavailable":
    case "deadline_exceeded":
      return new Problem(code, "The service is busy or under repair. Nothing is lost; try again in a moment.");
    case "internal":
    case "unknown":
      return new Problem(code, `Something went wrong on our side. Try again, and tell support if it stays. ${message}`);
    case "invalid_argument": {
      // `new_password: must have at least 10 characters`
      const [, field, rest = message] = /^([a-z_]+)(?:\[\d+\])?: (.*)$/s.exec(message) ?? [];
      return new Problem(code, sentence(field === undefined ? rest : `This ${rest}`), field);
    }
    default:
      return new Problem(code, sentence(message));
  }
}

function inWords(seconds: number): string {
  if (!(seconds > 0)) return "later";
  if (seconds < 90) return `in ${Math.ceil(seconds)} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `in ${minutes} minutes` : `in ${Math.ceil(minutes / 60)} hours`;
}

const sentence = (text: string): string =>
  /[.!?]$/.test(text) ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
