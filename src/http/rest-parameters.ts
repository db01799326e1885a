/** Values of request fields that come in a URL, in its path or its query. */
import { type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import type { FieldViolation } from "../domain/errors.ts";
import { MAX_VIOLATIONS } from "../rpc/limits.ts";
import { type FieldNames, faultAsSent, findField, isMessageJson, ourName, shownName, wanted } from "./request-json.ts";

type JsonObject = Record<string, JsonValue>;

/** A field of a request, or of a message in it, that one piece of text can set. */
export interface Parameter {
  /** Names of the fields on the way to it, and its own, as in JSON. */
  readonly path: readonly string[];
  readonly field: DescField;
}

/** Well-known types whose JSON is a string. */
const TEXT_MESSAGES = new Set([
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
  "google.protobuf.FieldMask",
  "google.protobuf.StringValue",
  "google.protobuf.BytesValue",
  "google.protobuf.Int64Value",
  "google.protobuf.UInt64Value",
]);

/** The parameter with this name, like `page_size`, `pageSize` or `filter.name`; undefined when there is none. */
export function parameterOf(schema: DescMessage, name: string): Parameter | undefined {
  const path: string[] = [];
  let message: DescMessage | undefined = schema;
  let field: DescField | undefined;
  for (const part of name.split(".")) {
    field = message === undefined ? undefined : findField(message, part);
    if (field === undefined) return undefined;
    path.push(field.jsonName);
    message = field.fieldKind === "message" ? field.message : undefined;
  }
  return field !== undefined && isText(field) ? { path, field } : undefined;
}

/** A variable in a path, with the text that a request has in its place. */
export interface PathValue {
  readonly parameter: Parameter;
  readonly spansSegments: boolean;
  readonly text: string;
}

/**
 * The part of a request that its URL gives, as JSON that the request's schema takes.
 *
 * @param query as sent
 * @param body what the body stands for: `*`, a field, or empty; the query can't name that
 * @throws AppError of kind `invalid_argument` that names every parameter at fault
 */
export function urlParameters(
  schema: DescMessage,
  pathValues: readonly PathValue[],
  query: string,
  body: string,
  names: FieldNames,
): JsonObject {
  const parameters = new Parameters();
  for (const { parameter, spansSegments, text } of pathValues) {
    // What doesn't decode stands for itself, and so names nothing, like any other malformed id.
    parameters.add(parameter, parameter.path.join("."), decoded(spansSegments ? keepSlashes(text) : text) ?? text);
  }
  const takenPaths = new Set(pathValues.map(({ parameter }) => parameter.path.join(".")));
  const bodyField = findField(schema, body)?.jsonName;
  for (const pair of query.split("&").filter((piece) => piece !== "")) {
    const [rawName = "", ...rawValue] = pair.replaceAll("+", " ").split("=");
    const name = decoded(rawName) ?? rawName;
    const value = decoded(rawValue.join("="));
    const ours = ourName(names, name);
    const parameter = body === "*" || ours === undefined ? undefined : parameterOf(schema, ours);
    if (parameter === undefined || parameter.path[0] === bodyField || takenPaths.has(parameter.path.join("."))) {
      parameters.refuse(name, "is not a parameter here");
    } else if (value === undefined) {
      parameters.refuse(name, "must be percent-encoded UTF-8");
    } else {
      parameters.add(parameter, name, value);
    }
  }
  return parameters.toJson();
}

/** Gathers parameters into one JSON object, and what is wrong with them into one error. */
class Parameters {
  readonly #values = new Map<
    string,
    { readonly path: readonly string[]; readonly isList: boolean; readonly values: JsonValue[] }
  >();
  readonly #violations: FieldViolation[] = [];

  refuse(name: string, description: string): void {
    this.#violations.push({ field: shownName(name), description });
  }

  /** @param name as it was sent, for errors */
  add({ path, field }: Parameter, name: string, text: string): void {
    const key = path.join(".");
    const isList = field.fieldKind === "list";
    const value = valueOf(field, text);
    const known = this.#values.get(key);
    if (known !== undefined && !isList) this.refuse(name, "must be given once");
    else if (!isMessageJson(field.parent, { [field.jsonName]: isList ? [value] : value }))
      this.refuse(name, wanted(field));
    else if (known === undefined) this.#values.set(key, { path, isList, values: [value] });
    else known.values.push(value);
  }

  toJson(): JsonObject {
    if (this.#violations.length > 0) throw faultAsSent(...this.#violations.slice(0, MAX_VIOLATIONS));
    const root: JsonObject = {};
    for (const { path, isList, values } of this.#values.values()) {
      let parent = root;
      for (const name of path.slice(0, -1)) parent = (parent[name] ??= {}) as JsonObject;
      parent[path.at(-1) ?? ""] = isList ? values : (values[0] ?? null);
    }
    return root;
  }
}

function isText(field: DescField): boolean {
  if (field.fieldKind === "map" || (field.fieldKind === "list" && field.listKind === "message")) return false;
  return field.message === undefined || TEXT_MESSAGES.has(field.message.typeName);
}

/** The JSON that the text means. What isn't any stays text, and is refused as that. */
function valueOf(field: DescField, text: string): JsonValue {
  if (field.fieldKind === "map") return text;
  if (field.scalar === ScalarType.BOOL) return text === "true" || (text === "false" ? false : text);
  // Enum values go by their names or their numbers.
  return field.enum !== undefined && /^-?\d{1,10}$/.test(text) ? Number(text) : text;
}

/** A percent-encoded piece of a URL as text; undefined when it isn't UTF-8. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** In a value of several segments an encoded slash stays encoded, or it could not be told from those in between. */
function keepSlashes(text: string): string {
  return text.replaceAll(/%(2f)/gi, "%25$1");
}
