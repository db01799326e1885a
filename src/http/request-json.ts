/** Reads a request message from JSON, and says what is wrong with it without quoting any of it. */
import {
  type DescField,
  type DescMessage,
  fromJson,
  fromJsonString,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { AppError, type FieldViolation, invalidArgument } from "../domain/errors.ts";
import { MAX_VIOLATIONS } from "../rpc/limits.ts";
import { type UpdateMask, updateMaskOf } from "../rpc/update-mask.ts";

/** No message of the API nests anywhere near this deep. */
const MAX_DEPTH = 16;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a message strictly: unknown fields, fields given twice and values of another type are refused.
 * protobuf-es judges; its own error texts are not used, because they quote what was sent, which may
 * well be a secret in the wrong place.
 *
 * @param field name of the one field that the body stands for; by default it is the whole message
 * @param names those of the product whose REST body it is, where the fields also are the update mask;
 *   undefined for the JSON of protobuf
 * @throws AppError of kind `invalid_argument` that names the fields as they were sent
 */
export function messageFromJson(schema: DescMessage, body: Uint8Array, field?: string, names?: FieldNames): Message {
  const sent = utf8Text(body);
  const text = field === undefined && names !== undefined ? inOurTerms(schema, sent, names) : sent;
  const json = parse(text);
  if (field === undefined && !isObject(json)) {
    throw new AppError("invalid_argument", "The request body must be a JSON object.");
  }
  const whole = field === undefined ? json : { [field]: json };
  try {
    // From the text, not from what was parsed, because only the text shows a key that comes twice.
    return fromJsonString(schema, field === undefined ? text : `{${JSON.stringify(field)}:${text}}`);
  } catch (error) {
    const violations = faults(schema, whole, "", 0).take(MAX_VIOLATIONS).toArray();
    if (violations.length > 0) throw invalidArgument(...violations);
    const twice = duplicateKey(error);
    throw twice === undefined
      ? new AppError("invalid_argument", `The request body is not a ${schema.typeName}.`)
      : invalidArgument({ field: shownName(twice), description: "is given twice" });
  }
}

/** A product's JSON names of fields, and ours. */
export type FieldNames = ReadonlyMap<string, string>;

/** The field that a product means with a name. Ours are not the product's where it has its own. */
export function ourName(names: FieldNames, name: string): string | undefined {
  const ours = names.get(name);
  if (ours !== undefined) return ours;
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Array.from(names.values()).includes(snake) ? undefined : name;
}

/** The name that a product has for a field. */
export function productName(names: FieldNames, field: DescField): string {
  return names.entries().find(([, ours]) => ours === field.name)?.[0] ?? field.jsonName;
}

/** Bad input in the words of whoever sent it: its names aren't ours, so the product has none for them. */
export function faultAsSent(...violations: readonly FieldViolation[]): AppError {
  return new AppError("invalid_argument", invalidArgument(...violations).message);
}

/**
 * The same JSON with our names, and with an update mask where there can be one. Refuses a name that comes
 * twice, which is lost on the way.
 */
function inOurTerms(schema: DescMessage, text: string, names: FieldNames): string {
  const mask = updateMaskOf(schema);
  if (names.size === 0 && mask === undefined) return text;
  const json = parse(text);
  if (!isObject(json)) return text;
  try {
    fromJsonString(StructSchema, text);
  } catch (error) {
    const twice = duplicateKey(error);
    if (twice !== undefined) throw faultAsSent({ field: shownName(twice), description: "is given twice" });
  }
  const entries = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const ours = ourName(names, name);
    if (ours === undefined) {
      throw faultAsSent({ field: shownName(name), description: "is not a field of the request" });
    }
    return [ours, value];
  });
  const ours = Object.fromEntries(entries);
  return JSON.stringify(mask === undefined ? ours : withMask(mask, ours, names));
}

/** With the mask that was sent in our names, or one of all fields that were sent, as `null` too. */
function withMask({ field, maskable }: UpdateMask, json: JsonObject, names: FieldNames): JsonObject {
  const sent = json[field.jsonName] ?? json[field.name] ?? "";
  if (typeof sent !== "string") return json;
  const paths = sent === "" ? Object.keys(json) : sent.split(",").map((path) => ourName(names, path));
  const named = paths.map((path) => maskable.find(({ name, jsonName }) => path === name || path === jsonName));
  const known = named.filter((one) => one !== undefined);
  if (sent !== "" && known.length < named.length) {
    const allowed = maskable.map((one) => productName(names, one)).join(", ");
    throw faultAsSent({ field: productName(names, field), description: `must be among ${allowed}` });
  }
  const key = Object.hasOwn(json, field.name) ? field.name : field.jsonName;
  return { ...json, [key]: known.map(({ jsonName }) => jsonName).join(",") };
}

function duplicateKey(error: unknown): string | undefined {
  return /duplicate object key "(.*)"$/s.exec(error instanceof Error ? error.message : "")?.[1];
}

/** Whether the JSON is one of the message's. */
export function isMessageJson(schema: DescMessage, json: JsonValue): boolean {
  try {
    fromJson(schema, json);
    return true;
  } catch {
    return false;
  }
}

/** The field with this name, in either spelling: `page_size` or `pageSize`. */
export function findField(schema: DescMessage, name: string): DescField | undefined {
  return schema.fields.find((field) => field.jsonName === name || field.name === name);
}

/**
 * A name from the request that may be shown in an error. Only what looks like a field's name is: a
 * secret that was sent in the place of a name is longer, or has other characters.
 */
export function shownName(name: string): string {
  return /^[\w.[\]-]{1,40}$/.test(name) ? name : "(a name not shown)";
}

/** What one value of a field must be, to go on after its name. */
export function wanted(field: DescField): string {
  if (field.fieldKind === "map") return "must be an object with values of the right type";
  if (field.enum !== undefined) return `must be one of ${field.enum.values.map(({ name }) => name).join(", ")}`;
  if (field.message !== undefined) return `must be ${WELL_KNOWN[field.message.typeName] ?? "an object"}`;
  return `must be ${SCALARS[field.scalar]}`;
}

const SCALARS: Readonly<Record<ScalarType, string>> = {
  [ScalarType.STRING]: "a string of valid Unicode",
  [ScalarType.BOOL]: "true or false",
  [ScalarType.BYTES]: "a string of base64",
  [ScalarType.DOUBLE]: "a number",
  [ScalarType.FLOAT]: "a number",
  [ScalarType.INT32]: "a 32-bit integer",
  [ScalarType.SINT32]: "a 32-bit integer",
  [ScalarType.SFIXED32]: "a 32-bit integer",
  [ScalarType.UINT32]: "a 32-bit integer, not negative",
  [ScalarType.FIXED32]: "a 32-bit integer, not negative",
  [ScalarType.INT64]: "a 64-bit integer",
  [ScalarType.SINT64]: "a 64-bit integer",
  [ScalarType.SFIXED64]: "a 64-bit integer",
  [ScalarType.UINT64]: "a 64-bit integer, not negative",
  [ScalarType.FIXED64]: "a 64-bit integer, not negative",
};

const WELL_KNOWN: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": "a time like 2025-01-15T10:00:00Z",
  "google.protobuf.Duration": "a duration like 3.5s",
  "google.protobuf.FieldMask": "a list of fields like name,ipAllowlist",
};

/** Finds the parts of the JSON that keep it from being the message. */
function* faults(schema: DescMessage, json: JsonValue, path: string, depth: number): Generator<FieldViolation> {
  if (!isObject(json) || depth > MAX_DEPTH) {
    yield { field: path, description: "must be an object" };
    return;
  }
  const seen = new Set<DescField>();
  for (const [key, value] of Object.entries(json)) {
    const name = path === "" ? shownName(key) : `${path}.${shownName(key)}`;
    const field = findField(schema, key);
    if (field === undefined) yield { field: name, description: "is not a field of the request" };
    else if (seen.has(field)) yield { field: name, description: "is given twice" };
    else if (!isMessageJson(schema, { [key]: value })) yield* faultsOfField(schema, field, key, value, name, depth);
    if (field !== undefined) seen.add(field);
  }
}

/** Finds what is wrong inside a field that is known not to fit. */
function* faultsOfField(
  schema: DescMessage,
  field: DescField,
  key: string,
  value: JsonValue,
  name: string,
  depth: number,
): Generator<FieldViolation> {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      if (isMessageJson(schema, { [key]: [item] })) continue;
      yield* faultsOfValue(field, item, `${name}[${index}]`, depth);
    }
  } else if (field.fieldKind === "list") {
    yield { field: name, description: "must be an array" };
  } else {
    yield* faultsOfValue(field, value, name, depth);
  }
}

function* faultsOfValue(field: DescField, value: JsonValue, name: string, depth: number): Generator<FieldViolation> {
  const nested = field.fieldKind === "map" ? undefined : field.message;
  // The JSON of well-known types doesn't have their fields.
  if (nested === undefined || nested.typeName.startsWith("google.protobuf.")) {
    yield { field: name, description: wanted(field) };
  } else {
    yield* faults(nested, value, name, depth + 1);
  }
}

function utf8Text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new AppError("invalid_argument", "The request body is not UTF-8.");
  }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    throw new AppError("invalid_argument", "The request body is not JSON.");
  }
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
