/** Checks a request against the rules that stand in the proto files. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { MAX_VIOLATIONS } from "./limits.ts";

/** A path quotes map keys, and those are the caller's to choose. */
const MAX_FIELD_LENGTH = 120;

const patterns = new Map<string, RegExp>();

// The patterns are the protos' own, and none can take long: they don't need the default engine, which is made
// for anybody's, and takes several times as long.
const validator = createValidator({
  regexMatch(pattern, text) {
    let compiled = patterns.get(pattern);
    if (compiled === undefined) patterns.set(pattern, (compiled = new RegExp(pattern, "u")));
    return compiled.test(text);
  },
});

/**
 * @throws AppError of kind `invalid_argument` that names the fields at fault.
 * @throws Error when a rule itself is broken, which is a fault of ours.
 */
export function validate(schema: DescMessage, message: Message): void {
  const violations = findFaults(schema, message);
  if (violations.length > 0) throw invalidArgument(...violations);
}

/**
 * The fields at fault, none of a valid message.
 *
 * @throws Error when a rule itself is broken, which is a fault of ours.
 */
export function findFaults(schema: DescMessage, message: Message): readonly FieldViolation[] {
  const result = validator.validate(schema, message);
  if (result.kind === "error") throw result.error;
  return result.kind === "invalid" ? result.violations.slice(0, MAX_VIOLATIONS).map(toFieldViolation) : [];
}

function toFieldViolation(violation: Violation): FieldViolation {
  const field = pathToString(violation.field).slice(0, MAX_FIELD_LENGTH).toWellFormed();
  return { field, description: violation.ruleId === "required" ? "is required" : violation.message };
}
