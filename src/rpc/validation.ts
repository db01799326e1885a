/** Checks a request against the rules that stand in the proto files. */
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { MAX_VIOLATIONS } from "./limits.ts";

/** A path quotes map keys, and those are the caller's to choose. */
const MAX_FIELD_LENGTH = 120;

/** Texts that are only hashed, never stored, so that any will do. */
const ONLY_HASHED = new Set(["token", "plaintext", "password", "current_password", "new_password", "refresh_token"]);

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
  const faults = result.kind === "invalid" ? result.violations.map(toFieldViolation) : [];
  for (const field of fieldsWithNul(reflect(schema, message, false))) {
    if (faults.some((fault) => fault.field.startsWith(field))) continue;
    faults.push({ field, description: "must not hold the character U+0000" });
  }
  return faults.slice(0, MAX_VIOLATIONS);
}

/** PostgreSQL can't store the character, so nothing that may be stored or looked for has it, whatever the engine. */
function* fieldsWithNul(message: ReflectMessage, path = ""): Generator<string> {
  for (const field of message.fields) {
    // An id that isn't one is nobody's, as any other that is unknown.
    if (ONLY_HASHED.has(field.name) || /^(?:.+_)?id$/.test(field.name) || !message.isSet(field)) continue;
    const place = `${path}${field.name}`;
    switch (field.fieldKind) {
      case "scalar":
        if (hasNul(message.get(field))) yield place;
        break;
      case "list":
        if (field.listKind === "scalar" && Array.from(message.get(field)).some(hasNul)) yield place;
        break;
      case "map":
        if (Array.from(message.get(field)).flat().some(hasNul)) yield place;
        break;
      case "message":
        yield* fieldsWithNul(message.get(field), `${place}.`);
        break;
      case "enum":
    }
  }
}

function hasNul(value: unknown): boolean {
  return typeof value === "string" && value.includes("\0");
}

function toFieldViolation(violation: Violation): FieldViolation {
  const field = pathToString(violation.field).slice(0, MAX_FIELD_LENGTH).toWellFormed();
  return { field, description: violation.ruleId === "required" ? "is required" : violation.message };
}
