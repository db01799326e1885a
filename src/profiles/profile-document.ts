/** What a profile file may say, every fault in one that says something else, and the `Profile` that it stands for. */
import * as z from "zod/mini";
import { ERROR_KINDS, ERROR_REASONS } from "../domain/errors.ts";
import { PLACEHOLDERS } from "../domain/presentation-placeholders.ts";
import {
  type Access,
  type DashboardWords,
  type Profile,
  type RateLimit,
  SERVICE_KEY_TYPE,
  SERVICE_PROFILE_ID,
  type Template,
  type TokenType,
} from "../domain/profile.ts";
import { ROLES } from "../domain/roles.ts";
import type { Alphabet } from "../domain/secret-format.ts";

export interface Fault {
  /** The field, as in `types.service.rate_limit` or `base_paths[1]`; empty for the document itself. */
  readonly path: string;
  readonly reason: string;
}

export interface ProfileReading {
  /** Undefined when there are faults. */
  readonly profile: Profile | undefined;
  readonly faults: readonly Fault[];
  /** Known whenever it is good itself, so that it can be compared even if other fields are at fault. */
  readonly id: string | undefined;
  /** As `id`. */
  readonly prefix: string | undefined;
}

interface FaultAt {
  readonly path: readonly (string | number)[];
  readonly reason: string;
}

type UnknownMap = Readonly<Record<string, unknown>>;

const UNIT_MS = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
const ACCESS_KINDS = ["full", "scopes", "permissions"] as const satisfies readonly Access["kind"][];
const ALPHABETS = ["hex", "base62"] as const satisfies readonly Alphabet[];

/** Fewest random characters that hold 128 bits. */
const SAFE_LENGTHS: Readonly<Record<Alphabet, number>> = { hex: 32, base62: 22 };

/** Fields of the public requests that a product may have a name of its own for. */
const REQUEST_FIELDS = [
  "name",
  "type",
  "permission",
  "scopes",
  "expires_at",
  "ip_allowlist",
  "metadata",
  "enabled",
  "user_id",
  "page_size",
  "page_token",
  "states",
  "name_prefix",
  "created_by",
  "unused_since",
  "update_mask",
  "all",
  "dry_run",
] as const;

/** More than any answer needs, and no risk to the stack of whoever walks through it. */
const MAX_TEMPLATE_DEPTH = 32;

/**
 * A check that is made even when something inside the value is at fault already; zod would leave it out, and
 * a fault would show only after another was mended. So the value can be anything.
 */
function alsoCheck<T>(check: (value: unknown) => readonly FaultAt[]): z.core.$ZodCheck<T> {
  return z.check<T>(
    ({ value, issues }) => {
      for (const { path, reason } of check(value)) {
        issues.push({ code: "custom", input: value, path: [...path], message: reason });
      }
    },
    { when: () => true },
  );
}

function fields<S extends z.core.$ZodLooseShape>(shape: S): z.ZodMiniObject<S, z.core.$strict> {
  return z.strictObject(shape, {
    error: ({ code }) =>
      code === "unrecognized_keys" ? `is not a field here; there are ${Object.keys(shape).join(", ")}` : undefined,
  });
}

/** Named things. `faultOf` says what is wrong with a name. */
function namedMap<V extends z.core.$ZodType>(
  faultOf: (name: string) => string | undefined,
  value: V,
): z.ZodMiniRecord<z.ZodMiniString, V> {
  return z.record(z.string(), value).check(
    alsoCheck((map) =>
      Object.keys(mapIn(map) ?? {}).flatMap((name) => {
        const reason = faultOf(name);
        return reason === undefined ? [] : [{ path: [name], reason }];
      }),
    ),
  );
}

function list<V extends z.core.$ZodType>(item: V): z.ZodMiniArray<V> {
  return z
    .array(item)
    .check(
      alsoCheck((items) =>
        (listIn(items) ?? []).flatMap((value, index, all) =>
          all.indexOf(value) < index ? [{ path: [index], reason: "stands there twice" }] : [],
        ),
      ),
    );
}

/** A text of one form. */
function form(pattern: RegExp, reason: string): z.ZodMiniString {
  return z
    .string({ error: ({ input }) => (input === undefined ? undefined : reason) })
    .check(z.regex(pattern, { error: reason }));
}

function wholeNumber(from: number, to: number): z.ZodMiniNumber {
  const reason = `must be a whole number from ${from} to ${to}`;
  return z
    .int({ error: ({ input }) => (input === undefined ? undefined : reason) })
    .check(z.gte(from, { error: reason }), z.lte(to, { error: reason }));
}

function atLeastOne(value: unknown): readonly FaultAt[] {
  const size = listIn(value)?.length ?? Object.keys(mapIn(value) ?? { none: 0 }).length;
  return size === 0 ? [{ path: [], reason: "must hold at least one" }] : [];
}

// A letter first: JavaScript would sort names such as 2026 before all others, and the first is the default.
const NAME = /^[A-Za-z][A-Za-z0-9._:-]{0,63}$/;
const nameFault = (name: string): string | undefined =>
  NAME.test(name) ? undefined : "must be named with a letter, and then up to 63 letters, digits and characters of ._:-";

// RFC 6749 says what a scope looks like; `*` is out because people would take it for a wildcard.
const SCOPE = /^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,64}$/;
const scopeFault = (name: string): string | undefined => {
  if (name.includes("*")) return "must not hold *: there is no wildcard";
  return SCOPE.test(name) ? undefined : 'must be named with 1 to 64 visible ASCII characters other than " and \\';
};

/** A map whose names are a closed set, and which need not hold all of them. */
function textsBy(names: readonly string[]): z.ZodMiniRecord<z.ZodMiniString, z.ZodMiniString> {
  return namedMap((name) => (names.includes(name) ? undefined : `must be one of ${names.join(", ")}`), someText);
}

const someText = form(/\S/, "must be a text, and not empty");
const header = form(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, "must be a header name, such as X-RateLimit-Limit");
const rateLimit = form(
  new RegExp(`^[1-9][0-9]{0,8}/(?:${Object.keys(UNIT_MS).join("|")})$`),
  "must be a number and a unit, such as 100/hour",
);
const id = form(/^[a-z0-9][a-z0-9-]{0,63}$/, "must be up to 64 lower-case letters, digits and dashes, such as acme");
const prefix = form(/^[a-z0-9_]{1,15}_$/, "must be 2 to 16 characters of a-z, 0-9 and _, the last one _, such as ac_");
const basePath = form(
  // A dot can't come first, so that no part is `.` or `..`.
  /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/,
  "must be a path that starts with / and doesn't end with it, such as /api/v1",
);
const commandLine = fields({
  program: form(
    /^(?!latchkey$)[a-z][a-z0-9-]{0,31}$/,
    "must be up to 32 lower-case letters, digits and dashes, such as acme, and not latchkey",
  ),
  token_variable: form(
    /^(?!LATCHKEY_)[A-Z][A-Z0-9_]{0,63}$/,
    "must be the name of a variable, such as ACME_TOKEN, and not one of Latchkey's",
  ),
  config_path: form(
    // A dot can't come first, so that no part is `.` or `..`.
    /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/,
    "must be a folder and a file in ~/.config, such as acme/config.json",
  ),
});
const label = form(/^(?=.*[^\p{Z}])[^\p{Cc}]{1,40}$/u, "must be up to 40 characters on one line, such as Acme");
const dashboardWords = fields({
  name: z.optional(label),
  title: z._default(label, "API tokens"),
  noun: z._default(z.enum(["token", "key"]), "token"),
  new: z._default(label, "New token"),
});
const managers = fields({
  any: z._default(list(z.enum(ROLES)), []),
  own: z._default(list(z.enum(ROLES)), []),
});

/** @param once the placeholder that has to stand there, and only once */
function templateOf(allowed: readonly string[], once?: string): z.ZodMiniCustom<Template, Template> {
  return z.custom<Template>().check(
    alsoCheck((value) => {
      const { faults, placeholders } = inspectTemplate(value, allowed);
      if (once === undefined || value === undefined) return faults;
      if (placeholders.filter((name) => name === once).length === 1) return faults;
      return [...faults, { path: [], reason: `must hold "{${once}}" exactly once` }];
    }),
  );
}

function response(allowed: readonly string[], once?: string) {
  return fields({
    status: z._default(
      wholeNumber(200, 299).check(
        z.refine((status) => status !== 204 && status !== 205, { error: "must be a status that comes with a body" }),
      ),
      200,
    ),
    body: templateOf(allowed, once),
  });
}

const profileDocument = fields({
  id,
  secret: fields({ prefix, alphabet: z.enum(ALPHABETS), random: wholeNumber(20, 200) }),
  credentials: list(z.enum(["bearer", "x-api-key"])).check(alsoCheck(atLeastOne)),
  base_paths: list(basePath).check(alsoCheck(atLeastOne)),

  access: z.enum(ACCESS_KINDS),
  scopes: z.optional(namedMap(scopeFault, someText).check(alsoCheck(atLeastOne))),
  permissions: z.optional(
    namedMap(nameFault, fields({ description: someText, scopes: list(z.string()) })).check(alsoCheck(atLeastOne)),
  ),
  types: z.optional(
    namedMap(
      nameFault,
      fields({ description: someText, managers: z.optional(managers), rate_limit: z.optional(rateLimit) }),
    ).check(alsoCheck(atLeastOne)),
  ),
  expiry: z.enum(["never", "optional"]),
  managers: z._default(managers, { any: [], own: [] }),
  managing_tokens: z._default(
    z.union([z.enum(["none", "all"]), list(z.string()).check(alsoCheck(atLeastOne))], {
      error: "must be none, all, or a list of permissions: at least one, and none of them twice",
    }),
    "none",
  ),
  lists_revoked: z._default(z.boolean(), false),
  idempotency_key: z._default(z.enum(["optional", "required"]), "optional"),
  plans: namedMap(
    nameFault,
    fields({
      rate_limit: z.optional(rateLimit),
      tokens: z._default(z.boolean(), true),
      ip_allowlist: z._default(z.boolean(), false),
    }),
  ).check(alsoCheck(atLeastOne)),
  rate_limit_headers: z._default(
    fields({ limit: z.optional(header), remaining: z.optional(header), reset: z.optional(header) }).check(
      alsoCheck(sharedHeaders),
    ),
    {},
  ),

  requests: z._default(
    namedMap((name) => (name === "" ? "must not be empty" : undefined), z.enum(REQUEST_FIELDS)).check(
      alsoCheck(sharedRequestFields),
    ),
    {},
  ),
  token: templateOf(PLACEHOLDERS.token),
  responses: fields({
    issue: response(PLACEHOLDERS.issue, "secret"),
    token: response(PLACEHOLDERS.oneToken),
    list: response(PLACEHOLDERS.list),
    revoke: response(PLACEHOLDERS.oneToken),
    login: response(PLACEHOLDERS.login),
    refresh: response(PLACEHOLDERS.refresh),
    me: z.optional(response(PLACEHOLDERS.me)),
  }),
  errors: fields({
    body: templateOf(PLACEHOLDERS.error),
    codes: z._default(textsBy(ERROR_KINDS), {}),
    messages: z._default(textsBy([...ERROR_KINDS, ...ERROR_REASONS]), {}),
  }),
  dashboard: z.optional(dashboardWords),
  cli: z.optional(commandLine),
}).check(alsoCheck(faultsBetweenFields));

type ProfileDocument = z.infer<typeof profileDocument>;

/** Reads a parsed profile file. Never throws: whatever is wrong comes back as faults, all of them at once. */
export function readProfile(document: unknown): ProfileReading {
  const result = profileDocument.safeParse(document, { error: reasonOf });
  const map = mapIn(document);
  return {
    profile: result.success ? toProfile(result.data) : undefined,
    faults: result.success ? [] : result.error.issues.flatMap(faultsOf),
    id: id.safeParse(map?.["id"]).data,
    prefix: prefix.safeParse(mapIn(map?.["secret"])?.["prefix"]).data,
  };
}

/** The reasons of faults whose schema has none of its own. */
function reasonOf(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined) return "is required";
  switch (issue.code) {
    case "invalid_value":
      return `must be one of ${issue.values.join(", ")}`;
    case "invalid_type":
      return (
        { object: "must be a map", record: "must be a map", array: "must be a list", boolean: "must be true or false" }[
          String(issue.expected)
        ] ?? "must be a text"
      );
    default:
      return "is not valid";
  }
}

function faultsOf(issue: z.core.$ZodIssue): readonly Fault[] {
  const names = issue.code === "unrecognized_keys" ? issue.keys.map((name) => [name]) : [[]];
  return names.map((name) => ({ path: pathText([...issue.path, ...name]), reason: issue.message }));
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((start, part) => {
    if (typeof part === "number") return `${start}[${part}]`;
    return start === "" ? shown(String(part)) : `${start}.${shown(String(part))}`;
  }, "");
}

/** A name from a file. Quoted where it could be taken for something else, or break the line. */
function shown(name: string): string {
  return /^[\w:?{}-]+$/.test(name) ? name : JSON.stringify(name);
}

/** What is wrong between fields that may each be right. */
function faultsBetweenFields(document: unknown): readonly FaultAt[] {
  const map = mapIn(document) ?? {};
  // One that isn't known is a fault of its own; what it would want can't be told.
  const access = ACCESS_KINDS.find((kind) => kind === map["access"]);
  const managing = map["managing_tokens"];
  const scopes = mapIn(map["scopes"]);
  const permissions = mapIn(map["permissions"]);
  return [
    ...secretFaults(mapIn(map["secret"]) ?? {}),
    ...presenceFaults(map, "scopes", access, ["scopes", "permissions"]),
    ...presenceFaults(map, "permissions", access, ["permissions"]),
    ...Object.entries(permissions ?? {}).flatMap(([name, permission]) =>
      unknownNames(mapIn(permission)?.["scopes"], scopes, "scope", ["permissions", name, "scopes"]),
    ),
    ...(Array.isArray(managing) && (access === "full" || access === "scopes")
      ? [{ path: ["managing_tokens"], reason: "can be a list with access: permissions only" }]
      : unknownNames(managing, permissions, "permission", ["managing_tokens"])),
    ...(Object.hasOwn(mapIn(map["types"]) ?? {}, SERVICE_KEY_TYPE) && map["id"] !== SERVICE_PROFILE_ID
      ? [{ path: ["types", SERVICE_KEY_TYPE], reason: "is kept for Latchkey's own service keys" }]
      : []),
  ];
}

function secretFaults({ alphabet, random }: UnknownMap): readonly FaultAt[] {
  const known = ALPHABETS.find((name) => name === alphabet);
  if (known === undefined || typeof random !== "number" || random < 20 || random >= SAFE_LENGTHS[known]) return [];
  return [
    {
      path: ["secret", "random"],
      reason: `must be at least ${SAFE_LENGTHS[known]} for ${known}, which makes 128 bits`,
    },
  ];
}

function presenceFaults(
  map: UnknownMap,
  field: string,
  access: Access["kind"] | undefined,
  wantedBy: readonly Access["kind"][],
): readonly FaultAt[] {
  const isThere = map[field] !== undefined;
  if (access === undefined || isThere === wantedBy.includes(access)) return [];
  return [
    { path: [field], reason: isThere ? `has no place with access: ${access}` : `is required with access: ${access}` },
  ];
}

/** Names in a list that the map doesn't define. Says nothing when either isn't one, which is a fault already. */
function unknownNames(
  names: unknown,
  defined: UnknownMap | undefined,
  what: string,
  path: readonly string[],
): readonly FaultAt[] {
  if (defined === undefined) return [];
  return (listIn(names) ?? []).flatMap((name, index) =>
    typeof name !== "string" || Object.hasOwn(defined, name)
      ? []
      : [
          {
            path: [...path, index],
            reason: `is not a ${what}; there are ${Object.keys(defined).map(shown).join(", ")}`,
          },
        ],
  );
}

/** Header names are compared without regard to case. */
function sharedHeaders(headers: unknown): readonly FaultAt[] {
  return repeats(
    headers,
    (name) => name.toLowerCase(),
    (first) => `must not be the header of ${shown(first)}`,
  );
}

function sharedRequestFields(requests: unknown): readonly FaultAt[] {
  return repeats(
    requests,
    (target) => target,
    (first) => `must not stand for the same as ${shown(first)}`,
  );
}

function repeats(
  map: unknown,
  keyOf: (value: string) => string,
  reasonFor: (first: string) => string,
): readonly FaultAt[] {
  const seen = new Map<string, string>();
  return Object.entries(mapIn(map) ?? {}).flatMap(([name, value]) => {
    if (typeof value !== "string") return [];
    const first = seen.get(keyOf(value));
    if (first === undefined) seen.set(keyOf(value), name);
    return first === undefined ? [] : [{ path: [name], reason: reasonFor(first) }];
  });
}

/** What is wrong with a template, and the placeholders in it, each as often as it stands there. */
function inspectTemplate(
  template: unknown,
  allowed: readonly string[],
): { readonly faults: readonly FaultAt[]; readonly placeholders: readonly string[] } {
  const faults: FaultAt[] = [];
  const placeholders: string[] = [];
  // What lies around the value. YAML anchors can tie a ring, which has no end.
  const around = new Set<unknown>();

  const visitText = (value: string, path: FaultAt["path"]): void => {
    if (!PLACEHOLDER.test(value)) return;
    const name = /^\{([^{}]*)\}$/.exec(value)?.[1];
    if (name === undefined) faults.push({ path, reason: "must be a placeholder alone, or a text without one" });
    else if (allowed.includes(name)) placeholders.push(name);
    else faults.push({ path, reason: `is not a placeholder here; there are ${braced(allowed)}` });
  };
  const visitMap = (map: UnknownMap, path: FaultAt["path"]): void => {
    const unquoted = unquotedPlaceholder(map, allowed);
    if (unquoted !== undefined) {
      faults.push({ path, reason: `must be in quotes: "{${unquoted}}"` });
      return;
    }
    for (const [key, item] of Object.entries(map)) {
      const reason = keyFault(key, map);
      if (reason !== undefined) faults.push({ path: [...path, key], reason });
      visit(item, [...path, key]);
    }
  };
  const visit = (value: unknown, path: FaultAt["path"]): void => {
    if (typeof value === "boolean" || value === null || value === undefined) return;
    if (typeof value === "string") return visitText(value, path);
    const items = listIn(value);
    const map = mapIn(value);
    if (items === undefined && map === undefined) {
      if (!isExactNumber(value)) faults.push({ path, reason: "must be JSON" });
      return;
    }
    if (around.has(value)) faults.push({ path, reason: "must not hold what it lies in" });
    else if (path.length >= MAX_TEMPLATE_DEPTH) {
      faults.push({ path, reason: `must not hold anything: it lies ${MAX_TEMPLATE_DEPTH} levels deep` });
    } else {
      around.add(value);
      for (const [index, item] of items?.entries() ?? []) visit(item, [...path, index]);
      if (map !== undefined) visitMap(map, path);
      around.delete(value);
    }
  };

  visit(template, []);
  return { faults, placeholders };
}

const PLACEHOLDER = /\{[^{}]*\}/;

/** Infinity has no JSON, and an integer beyond 2⁵³ would change on its way. */
function isExactNumber(value: unknown): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

/** What YAML makes of `{id}` without quotes: a map with an empty `id`. */
function unquotedPlaceholder(map: UnknownMap, allowed: readonly string[]): string | undefined {
  const [first, ...others] = Object.keys(map);
  return first !== undefined && others.length === 0 && map[first] === null && allowed.includes(first)
    ? first
    : undefined;
}

function keyFault(key: string, map: UnknownMap): string | undefined {
  if (PLACEHOLDER.test(key)) return "must be a plain name; a placeholder stands for a value";
  if (key === "" || key === "?") return "must not be empty";
  const required = key.replace(/\?$/, "");
  return required !== key && Object.hasOwn(map, required) ? `must not stand beside ${shown(required)}` : undefined;
}

function braced(names: readonly string[]): string {
  return names.map((name) => `{${name}}`).join(", ");
}

function mapIn(value: unknown): UnknownMap | undefined {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? (value as UnknownMap)
    : undefined;
}

function listIn(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

function dashboardOf({ id: profileId, dashboard }: ProfileDocument): DashboardWords {
  const words = dashboard ?? { title: "API tokens", noun: "token" as const, new: "New token" };
  const productName = dashboard?.name ?? profileId.charAt(0).toUpperCase() + profileId.slice(1);
  return { productName, tokensTitle: words.title, tokenNoun: words.noun, newTokenLabel: words.new };
}

function toProfile(document: ProfileDocument): Profile {
  const { secret, rate_limit_headers: headers, responses, errors } = document;
  return {
    id: document.id,
    secretFormat: { prefix: secret.prefix, alphabet: secret.alphabet, randomLength: secret.random },
    credentialHeaders: document.credentials.map((name) => (name === "bearer" ? "authorization" : name)),
    basePaths: document.base_paths,
    access: accessOf(document),
    types: typesOf(document),
    plans: Object.entries(document.plans).map(([name, plan]) => ({
      name,
      rateLimit: rateLimitIn(plan.rate_limit),
      tokens: plan.tokens,
      ipAllowlist: plan.ip_allowlist,
    })),
    expiry: document.expiry,
    managingTokens: document.managing_tokens,
    listsRevoked: document.lists_revoked,
    requiresIdempotencyKey: document.idempotency_key === "required",
    rateLimitHeaders: { limit: headers.limit, remaining: headers.remaining, reset: headers.reset },
    presentation: {
      requestFields: new Map(Object.entries(document.requests)),
      token: document.token,
      responses: { ...responses, me: responses.me },
      errors: {
        body: errors.body,
        codes: new Map(Object.entries(errors.codes)),
        messages: new Map(Object.entries(errors.messages)),
      },
    },
    dashboard: dashboardOf(document),
    commandLine: document.cli && {
      program: document.cli.program,
      tokenVariable: document.cli.token_variable,
      configPath: document.cli.config_path,
    },
  };
}

function accessOf({ access, scopes = {}, permissions = {} }: ProfileDocument): Access {
  const catalog = Object.entries(scopes).map(([name, description]) => ({ name, description }));
  switch (access) {
    case "full":
      return { kind: "full" };
    case "scopes":
      return { kind: "scopes", catalog };
    case "permissions":
      return {
        kind: "permissions",
        catalog,
        permissions: Object.entries(permissions).map(([name, permission]) => ({ name, ...permission })),
      };
  }
}

function typesOf({ types, managers: everywhere }: ProfileDocument): readonly TokenType[] {
  if (types === undefined) return [{ name: "", description: "", managers: everywhere, rateLimit: undefined }];
  return Object.entries(types).map(([name, type]) => ({
    name,
    description: type.description,
    managers: type.managers ?? everywhere,
    rateLimit: rateLimitIn(type.rate_limit),
  }));
}

function rateLimitIn(rate: string | undefined): RateLimit | undefined {
  if (rate === undefined) return undefined;
  const [requests, unit] = rate.split("/");
  return { requests: Number(requests), windowMs: UNIT_MS[unit as keyof typeof UNIT_MS] };
}
