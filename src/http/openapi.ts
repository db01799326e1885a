/** The public routes as an OpenAPI 3.1 document, made from the annotated protos and a product's profile. */
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { DurationSchema, FieldMaskSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { field as fieldRules } from "../../gen/buf/validate/validate_pb.ts";
import comments from "../../gen/comments.json" with { type: "json" };
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { RotationSchema, TokenSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { ErrorKind } from "../domain/errors.ts";
import { type Profile, type ResponseTemplate, SERVICE_KEY_TYPE, type Template } from "../domain/profile.ts";
import { REVOKED_MANY, rotateTemplate } from "../rpc/presentation.ts";
import { ANNOTATED_BASE_PATH } from "../rpc/product.ts";
import { STATUS } from "../rpc/status.ts";
import { updateMaskOf } from "../rpc/update-mask.ts";
import { productName } from "./request-json.ts";
import type { RestRoute } from "./rest-routes.ts";

/** Answers that were really received, by operation id and HTTP status. */
export type Examples = Readonly<Record<string, JsonValue>>;

const COMMENTS: Readonly<Record<string, string>> = comments;

/** Fields that a caller of the public routes has no use for: the credential, a header or the connection says them. */
const HIDDEN_FIELDS = new Set(["organization_id", "idempotency_key", "client_ip"]);

/** What may go wrong on any route. */
const COMMON_FAILURES: readonly ErrorKind[] = ["invalid_argument", "rate_limited", "internal", "unavailable"];

/** Calls that the state of the token may not allow. */
const STATE_BOUND: ReadonlySet<DescMethod> = new Set([TokenService.method.rotate, TokenService.method.cancelRotation]);

/** Calls of AuthService that need a person who is signed in. */
const OF_PEOPLE: ReadonlySet<DescMethod> = new Set([
  AuthService.method.changePassword,
  AuthService.method.joinOrganization,
]);

/** Makes the document of one product. Examples are put in where there are any. */
export function openApiDocument(profile: Profile, routes: readonly RestRoute[], examples: Examples): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const route of routes) {
    if (route.method === UserService.method.getMe && profile.presentation.responses.me === undefined) continue;
    const path = route.template.slice(ANNOTATED_BASE_PATH.length);
    paths[path] = { ...paths[path], [route.verb.toLowerCase()]: operation(profile, route, examples) };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: `${profile.id} API tokens`,
      version: "v1",
      description: "Issues, lists, changes and revokes API tokens.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: profile.basePaths.map((url) => ({ url })),
    paths: Object.fromEntries(Object.entries(paths).toSorted(([one], [other]) => (one < other ? -1 : 1))),
    components: {
      securitySchemes: {
        accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "Of a person who signed in." },
        ...Object.fromEntries(tokenSchemes(profile)),
      },
      schemas: { Token: schemaOf(profile.presentation.token), Error: schemaOf(profile.presentation.errors.body) },
    },
  };
}

function operation(profile: Profile, route: RestRoute, examples: Examples): JsonObject {
  const { method } = route;
  const id = operationId(route);
  const description = COMMENTS[`${method.parent.typeName}.${method.name}`] ?? "";
  const isOpen = method.parent === AuthService && !OF_PEOPLE.has(method);
  const success = responseOf(profile, route);
  const failures: readonly ErrorKind[] = [
    "unauthenticated",
    ...(isOpen ? [] : (["permission_denied"] as const)),
    ...(route.variables.length > 0 ? (["not_found"] as const) : []),
    ...(takesIdempotencyKey(route) ? (["already_exists"] as const) : []),
    ...COMMON_FAILURES,
    // Has the HTTP status of `invalid_argument`, and takes its place.
    ...(STATE_BOUND.has(method) ? (["failed_precondition"] as const) : []),
  ];
  const responses = failures.map((kind): [string, JsonObject] => {
    const { http } = STATUS[kind];
    return [
      String(http),
      answer(FAILURE_TEXTS[kind] ?? "Failed", { $ref: "#/components/schemas/Error" }, examples[`${id} ${http}`]),
    ];
  });
  const parameters = [
    ...pathParameters(route),
    ...queryParameters(profile, route),
    ...headerParameters(profile, route),
  ];
  return {
    operationId: id,
    tags: [method.parent.name.replace(/Service$/, "")],
    summary: description.split(/(?<=\.)\s/)[0] ?? id,
    description,
    security: isOpen ? [] : [{ accessToken: [] }, ...tokensFor(profile, method).map(([name]) => ({ [name]: [] }))],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBody(profile, route, examples[`${id} request`]),
    responses: {
      [String(success.status)]: answer("Done", success.schema, examples[`${id} ${success.status}`]),
      ...Object.fromEntries(responses),
    },
  };
}

/** For example `issueToken`, `revokeManyTokens`. */
function operationId({ method }: Pick<RestRoute, "method">): string {
  if (method.parent !== TokenService) return method.localName;
  return `${method.localName}${method.name.endsWith("Many") ? "Tokens" : "Token"}`;
}

const FAILURE_TEXTS: Readonly<Partial<Record<ErrorKind, string>>> = {
  invalid_argument: "A field is wrong; the message names it",
  unauthenticated: "The credential is missing or doesn't work",
  permission_denied: "Not allowed; the message says what is needed",
  not_found: "No such thing, or somebody else's",
  already_exists: "The idempotency key was used for another request",
  failed_precondition: "A field is wrong, or the token isn't in a state for it; the message says which",
  rate_limited: "Over the rate limit",
  internal: "Something went wrong here",
  unavailable: "Try again in a moment",
};

function answer(description: string, schema: JsonObject, example: JsonValue | undefined): JsonObject {
  return {
    description,
    content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
  };
}

/** The tokens that a call may come with. */
function tokensFor(profile: Profile, { parent }: DescMethod): readonly [string, JsonObject][] {
  return parent === AuthService ? [] : tokenSchemes(profile);
}

/** What products have a word for; all else that is answered is the message itself. */
const SHOWN_SIGN_INS: ReadonlySet<DescMethod> = new Set([AuthService.method.login, AuthService.method.refreshToken]);

function responseOf(profile: Profile, route: RestRoute): { readonly status: number; readonly schema: JsonObject } {
  const isPlain = route.method.parent === AuthService && !SHOWN_SIGN_INS.has(route.method);
  if (isPlain || route.method === TokenService.method.import) {
    return { status: 200, schema: messageSchema(profile, route.method.output) };
  }
  const { status, body } = responseTemplate(profile, route);
  return { status, schema: schemaOf(body) };
}

function responseTemplate(profile: Profile, { method }: RestRoute): ResponseTemplate {
  const { responses } = profile.presentation;
  switch (method) {
    case TokenService.method.issue:
      return responses.issue;
    case TokenService.method.rotate:
      return rotateTemplate(profile);
    case TokenService.method.list:
      return responses.list;
    case TokenService.method.revoke:
      return responses.revoke;
    case TokenService.method.revokeMany:
      return REVOKED_MANY;
    case AuthService.method.login:
      return responses.login;
    case AuthService.method.refreshToken:
      return responses.refresh;
    case UserService.method.getMe:
      return responses.me ?? responses.token;
    default:
      return responses.token;
  }
}

function tokenSchemes({ credentialHeaders }: Profile): readonly [string, JsonObject][] {
  return credentialHeaders.map((header) =>
    header === "authorization"
      ? ["bearerToken", { type: "http", scheme: "bearer", description: "An API token." }]
      : ["apiKey", { type: "apiKey", in: "header", name: "X-Api-Key", description: "An API token." }],
  );
}

function pathParameters({ variables }: RestRoute): readonly JsonObject[] {
  return variables.map(({ parameter: { field } }) => ({
    name: field.name,
    in: "path",
    required: true,
    description: commentOf(field),
    schema: { type: "string" },
  }));
}

function queryParameters(profile: Profile, route: RestRoute): readonly JsonObject[] {
  if (route.body === "*") return [];
  const inPath = new Set(route.variables.map(({ parameter }) => parameter.field));
  return route.method.input.fields
    .filter((field) => !inPath.has(field) && !HIDDEN_FIELDS.has(field.name) && isOffered(profile, field))
    .map((field) => ({
      name: productName(profile.presentation.requestFields, field),
      in: "query",
      description: commentOf(field),
      schema: field.message === undefined ? fieldSchema(profile, field) : TIME,
    }));
}

function takesIdempotencyKey({ method }: RestRoute): boolean {
  return method.input.field["idempotencyKey"] !== undefined;
}

function headerParameters({ requiresIdempotencyKey }: Profile, route: RestRoute): readonly JsonObject[] {
  if (!takesIdempotencyKey(route)) return [];
  return [
    {
      name: "Idempotency-Key",
      in: "header",
      required: requiresIdempotencyKey,
      description: "Makes a retry safe: for 24 h the same request with the same key gets the same answer.",
      schema: { type: "string", maxLength: 255, pattern: "^[!-~]*$" },
    },
  ];
}

/** Nothing where there is nothing to say in a body. */
function requestBody(profile: Profile, route: RestRoute, example: JsonValue | undefined): JsonObject {
  if (route.body === "") return {};
  const { method, variables } = route;
  const inPath = new Set(variables.map(({ parameter }) => parameter.field));
  const nameOf = (field: DescField): string => productName(profile.presentation.requestFields, field);
  const schema = requestSchema(profile, method.input, nameOf, inPath);
  if (schema.properties === undefined) return {};
  const content = { "application/json": { schema, ...(example === undefined ? {} : { example }) } };
  return { requestBody: { required: schema.required.length > 0, content } };
}

function requestSchema(
  profile: Profile,
  message: DescMessage,
  nameOf: (field: DescField) => string,
  inPath: ReadonlySet<DescField> = new Set(),
) {
  const fields = message.fields.filter(
    (field) => !inPath.has(field) && !HIDDEN_FIELDS.has(field.name) && isOffered(profile, field),
  );
  const mask = updateMaskOf(message);
  const isRequired = (field: DescField): boolean =>
    (hasOption(field, fieldRules) && getOption(field, fieldRules).required) ||
    (field.name === "permission" && profile.access.kind === "permissions" && mask === undefined);
  const maskable = fields.filter((field) => mask?.maskable.includes(field)).map(nameOf);
  const describe = (field: DescField): string =>
    field === mask?.field
      ? `Fields to change, in place of those of the body: some of ${maskable.join(",")}`
      : commentOf(field);
  const properties = fields.map((field): [string, JsonObject] => [
    nameOf(field),
    { ...fieldSchema(profile, field), description: describe(field) },
  ]);
  return {
    type: "object",
    required: fields.filter(isRequired).map(nameOf),
    ...(mask === undefined ? {} : { minProperties: 1 }),
    ...(fields.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
    additionalProperties: false,
  };
}

/** A message in protobuf's own JSON, which leaves out what is empty. */
function messageSchema(profile: Profile, message: DescMessage): JsonObject {
  const schema = (field: DescField): JsonObject => {
    if (field.fieldKind === "list" && field.message !== undefined) {
      return { type: "array", items: messageSchema(profile, field.message) };
    }
    if (field.fieldKind === "message" && field.message !== TimestampSchema)
      return messageSchema(profile, field.message);
    // A 64-bit number is a text in JSON.
    if (field.fieldKind === "scalar" && field.scalar === ScalarType.INT64) return TEXT;
    return fieldSchema(profile, field);
  };
  const properties = message.fields.map((field): [string, JsonObject] => [
    field.jsonName,
    { ...schema(field), description: commentOf(field) },
  ]);
  return { type: "object", properties: Object.fromEntries(properties) };
}

/** Whether the product has a use for a field of a request about tokens; the fields of all others are always in use. */
function isOffered(profile: Profile, field: DescField): boolean {
  if (field.parent.file !== TokenSchema.file) return true;
  switch (field.name) {
    case "type":
      return profile.types.some(({ name }) => name !== "" && name !== SERVICE_KEY_TYPE);
    case "user_id":
      // Only a service key may issue or import for somebody else.
      return field.parent === TokenService.method.revokeMany.input;
    case "include_uses":
      // No product's answer has a place for them.
      return false;
    case "permission":
      return profile.access.kind === "permissions";
    case "scopes":
      return profile.access.kind === "scopes";
    case "expires_at":
      return profile.expiry !== "never";
    case "ip_allowlist":
      return profile.plans.some(({ ipAllowlist }) => ipAllowlist);
    default:
      return true;
  }
}

const commentOf = (field: DescField): string => COMMENTS[`${field.parent.typeName}.${field.name}`] ?? "";

function fieldSchema(profile: Profile, field: DescField): JsonObject {
  if (field.fieldKind === "map") return { type: "object", additionalProperties: { type: "string" } };
  if (field.fieldKind === "list") {
    const isOfMessages = field.message !== undefined;
    return { type: "array", items: valueSchema(profile, field), ...(isOfMessages ? {} : { uniqueItems: true }) };
  }
  return valueSchema(profile, field);
}

function valueSchema(profile: Profile, field: DescField): JsonObject {
  if (field.enum !== undefined) {
    return { type: "string", enum: field.enum.values.filter(({ number }) => number !== 0).map(({ name }) => name) };
  }
  if (field.message === DurationSchema) return DURATION;
  if (field.message === FieldMaskSchema) return TEXT;
  if (field.message === TimestampSchema) return NULLABLE_TIME;
  // A product's names are those of the request itself.
  if (field.message !== undefined) return requestSchema(profile, field.message, ({ jsonName }) => jsonName);
  if (field.scalar === ScalarType.BOOL) return { type: "boolean" };
  if (field.scalar === ScalarType.BYTES) return { type: "string", contentEncoding: "base64" };
  if (field.scalar !== ScalarType.STRING) return { type: "integer", minimum: 0 };
  const allowed = allowedValues(profile, field);
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  const limits = rules?.type.case === "string" ? rules.type.value : undefined;
  return {
    type: "string",
    ...(limits?.maxLen === undefined || limits.maxLen === 0n ? {} : { maxLength: Number(limits.maxLen) }),
    ...(allowed === undefined ? {} : { enum: allowed }),
  };
}

function allowedValues({ access, types }: Profile, { name }: DescField): string[] | undefined {
  if (name === "type") return types.map((type) => type.name);
  if (name === "permission" && access.kind === "permissions") return access.permissions.map((one) => one.name);
  if (name === "scopes" && access.kind === "scopes") return access.catalog.map((scope) => scope.name);
  return undefined;
}

/** Seconds, as protobuf writes them in JSON. */
const DURATION: JsonObject = { type: ["string", "null"], pattern: "^\\d+(\\.\\d{1,9})?s$" };
const TIME: JsonObject = { type: "string", format: "date-time" };
const NULLABLE_TIME: JsonObject = { type: ["string", "null"], format: "date-time" };
const UUID: JsonObject = { type: "string", format: "uuid" };
const NULLABLE_UUID: JsonObject = { type: ["string", "null"], format: "uuid" };
const TEXT: JsonObject = { type: "string" };
const TEXTS: JsonObject = { type: "array", items: TEXT };

/** Schemas of placeholders that aren't plain text. */
const PLACEHOLDER_SCHEMAS: Readonly<Record<string, JsonObject>> = {
  "id:uuid": UUID,
  "organization_id:uuid": UUID,
  "user_id:uuid": NULLABLE_UUID,
  user_id: { type: ["string", "null"] },
  scopes: TEXTS,
  ip_allowlist: TEXTS,
  metadata: { type: "object", additionalProperties: TEXT },
  state: { type: "string", enum: ["active", "disabled", "expired", "revoked"] },
  is_active: { type: "boolean" },
  created_at: TIME,
  expires_at: NULLABLE_TIME,
  last_used_at: NULLABLE_TIME,
  last_used_address: { type: ["string", "null"] },
  revoked_at: NULLABLE_TIME,
  rotated_at: NULLABLE_TIME,
  overlap_ends_at: NULLABLE_TIME,
  previous_last_used_at: NULLABLE_TIME,
  token: { $ref: "#/components/schemas/Token" },
  tokens: { type: "array", items: { $ref: "#/components/schemas/Token" } },
  "user.id:uuid": UUID,
  "user.avatar_url": { type: ["string", "null"] },
  status: { type: "integer" },
  count: { type: "integer", minimum: 0 },
};

/** Placeholders that show a field of a message in the token. */
const PLACEHOLDER_FIELDS: Readonly<Record<string, string>> = {
  rotated_at: `${RotationSchema.typeName}.started_at`,
  overlap_ends_at: `${RotationSchema.typeName}.overlap_ends_at`,
  previous_last_used_at: `${RotationSchema.typeName}.previous_last_used_at`,
};

/** The schema of what a template renders to. */
function schemaOf(template: Template): JsonObject {
  if (typeof template === "string") {
    const name = /^\{([\w.:]+)\}$/.exec(template)?.[1];
    if (name === undefined) return { const: template };
    const comment = COMMENTS[PLACEHOLDER_FIELDS[name] ?? `${TokenSchema.typeName}.${name}`];
    return { ...(PLACEHOLDER_SCHEMAS[name] ?? TEXT), ...(comment === undefined ? {} : { description: comment }) };
  }
  if (template === null || typeof template !== "object") return { const: template };
  if (isList(template)) return { type: "array", prefixItems: template.map(schemaOf) };
  const entries = Object.entries(template);
  const nameOf = (key: string): string => key.replace(/\?$/, "");
  return {
    type: "object",
    required: entries.filter(([key]) => !key.endsWith("?")).map(([key]) => key),
    properties: Object.fromEntries(entries.map(([key, value]) => [nameOf(key), schemaOf(value)])),
  };
}

const isList = (template: object): template is readonly Template[] => Array.isArray(template);
