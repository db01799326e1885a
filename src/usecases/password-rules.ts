/** What a password has to be. */
import common from "../domain/common-passwords.json" with { type: "json" };
import { invalidArgument } from "../domain/errors.ts";

const MIN_CHARACTERS = 10;

/** In lower case, in which guessers try them first. */
const COMMON: ReadonlySet<string> = new Set(common.passwords);

/**
 * Lets a password through that is long enough, not among the common ones, and not the person's address or a
 * part of it. Characters are counted in the form that is hashed, and none is asked for in particular (NIST SP
 * 800-63B, section 3.1.1.2).
 *
 * @param field the request's field that it stands in
 * @param email the person's address, normalised
 * @throws AppError of kind `invalid_argument`, which never quotes it
 */
export function requireGoodPassword(field: string, password: string, email: string): void {
  const normal = password.normalize("NFC");
  const plain = normal.toLowerCase();
  if ([...normal].length < MIN_CHARACTERS) {
    throw invalidArgument({ field, description: `must have at least ${MIN_CHARACTERS} characters` });
  }
  if (COMMON.has(plain)) {
    throw invalidArgument({ field, description: "is one of the passwords that are tried first: choose another one" });
  }
  if (email.includes(plain)) throw invalidArgument({ field, description: "must not be a part of the address" });
}
