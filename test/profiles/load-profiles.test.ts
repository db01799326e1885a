/** Profile files: what the built-in ones say, that a company's own are read exactly, and that every fault is named. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { ERROR_KINDS, ERROR_REASONS } from "../../src/domain/errors.ts";
import { PLACEHOLDERS } from "../../src/domain/presentation-placeholders.ts";
import { type Profile, type Profiles, rateLimitOf } from "../../src/domain/profile.ts";
import { ROLES } from "../../src/domain/roles.ts";
import { generateSecret, isWellFormed } from "../../src/domain/secret-format.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";

const root = mkdtempSync(join(tmpdir(), "latchkey-profiles-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Files = Readonly<Record<string, string | Uint8Array>>;

/** A fresh folder that holds these files. */
function folder(files: Files): string {
  const directory = mkdtempSync(join(root, "d-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}

/** The lines that the start is refused with; none when it isn't. Anything else that is thrown goes on. */
function faultsOf(directory: string): readonly string[] {
  try {
    loadProfiles(directory);
    return [];
  } catch (error) {
    if (error instanceof StartError) return error.message.split("\n");
    throw error;
  }
}

const faultsIn = (files: Files): readonly string[] => faultsOf(folder(files));

function profileIn(files: Files, id: string): Profile {
  const profile = loadProfiles(folder(files)).get(id);
  if (profile === undefined) throw new Error(`no profile ${id}`);
  return profile;
}

const guide = readFileSync(join(import.meta.dirname, "../../docs/profiles.md"), "utf8");

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "ms").exec(guide)?.[1];
  if (found === undefined) throw new Error(`docs/profiles.md has no ${language} block`);
  return found;
}

const acme = block("yaml");

/** Acme's file, with a fault put in. */
function edited(...edits: readonly (readonly [from: string, to: string])[]): string {
  return edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the example doesn't hold ${from}`);
    return text.replace(from, to);
  }, acme);
}

describe("the built-in profiles", () => {
  const profiles = loadProfiles(undefined);
  const get = (id: string): Profile => {
    const profile = profiles.get(id);
    if (profile === undefined) throw new Error(`no profile ${id}`);
    return profile;
  };

  it("are the four products, and the one of service keys that nobody is offered", () => {
    expect(profiles.all.map(({ id }) => id)).toEqual(["latchkey", "plane", "walwarden", "watchmantower", "watchplane"]);
    expect(profiles.offered.map(({ id }) => id)).toEqual(["plane", "walwarden", "watchmantower", "watchplane"]);
  });

  it("are what a folder adds to", () => {
    expect(loadProfiles(folder({})).all).toEqual(profiles.all);
    expect(loadProfiles(folder({ "acme.yaml": acme })).all.map(({ id }) => id)).toEqual([
      ...profiles.all.map(({ id }) => id),
      "acme",
    ]);
  });

  it("have tokens of the documented shapes", () => {
    const shapes: Readonly<Record<string, RegExp>> = {
      watchplane: /^wp_[0-9a-f]{48}$/,
      watchmantower: /^wmt_api_[0-9A-Za-z]{48}$/,
      walwarden: /^wal_[0-9a-f]{64}$/,
      plane: /^pk_[0-9a-f]{48}$/,
      latchkey: /^lk_[0-9A-Za-z]{48}$/,
    };
    for (const { id, secretFormat } of profiles.all) {
      expect(generateSecret(secretFormat, randomBytes)).toMatch(shapes[id]!);
    }
  });

  it("say of Watchplane what its pages say", () => {
    const { presentation, ...facts } = get("watchplane");
    expect(facts).toEqual({
      id: "watchplane",
      secretFormat: { prefix: "wp_", alphabet: "hex", randomLength: 40 },
      credentialHeaders: ["x-api-key"],
      basePaths: ["/api/v1"],
      access: { kind: "full" },
      types: [{ name: "", description: "", managers: { any: ["owner", "admin"], own: [] }, rateLimit: undefined }],
      plans: [{ name: "standard", rateLimit: undefined, tokens: true, ipAllowlist: false }],
      expiry: "never",
      managingTokens: "all",
      listsRevoked: false,
      requiresIdempotencyKey: false,
      rateLimitHeaders: { limit: undefined, remaining: undefined, reset: undefined },
      dashboard: {
        productName: "Watchplane",
        tokensTitle: "API Tokens",
        tokenNoun: "token",
        newTokenLabel: "New token",
      },
      commandLine: { program: "wp", tokenVariable: "WATCHPLANE_TOKEN", configPath: "watchplane/config.json" },
    });
    expect(presentation).toEqual({
      requestFields: new Map(),
      token: { id: "{id}", name: "{name}", lastUsedAt: "{last_used_at}", createdAt: "{created_at}" },
      responses: {
        issue: {
          status: 201,
          body: { data: { id: "{id}", name: "{name}", token: "{secret}", createdAt: "{created_at}" } },
        },
        token: { status: 200, body: { data: "{token}" } },
        list: { status: 200, body: { data: "{tokens}", "nextPageToken?": "{next_page_token}" } },
        revoke: { status: 200, body: { message: "API token revoked" } },
        login: {
          status: 200,
          body: {
            data: {
              accessToken: "{access_token}",
              refreshToken: "{refresh_token}",
              user: { id: "{user.id}", email: "{user.email}" },
            },
          },
        },
        refresh: { status: 200, body: { data: { accessToken: "{access_token}", refreshToken: "{refresh_token}" } } },
        me: undefined,
      },
      errors: {
        body: { error: { code: "{code}", message: "{message}" } },
        codes: new Map(),
        messages: new Map(),
      },
    });
  });

  it("say of Watchman Tower what its page says", () => {
    const profile = get("watchmantower");
    expect(profile).toMatchObject({
      credentialHeaders: ["authorization", "x-api-key"],
      basePaths: ["/public/v1", "/api/v1"],
      expiry: "optional",
      managingTokens: ["full"],
      rateLimitHeaders: { limit: "X-RateLimit-Limit", remaining: "X-RateLimit-Remaining", reset: "X-RateLimit-Reset" },
    });
    const hour = 3_600_000;
    expect(profile.plans.map(({ name, rateLimit, ipAllowlist }) => [name, rateLimit, ipAllowlist])).toEqual([
      ["free", { requests: 100, windowMs: hour }, false],
      ["solo", { requests: 500, windowMs: hour }, false],
      ["team", { requests: 2_000, windowMs: hour }, false],
      ["stack", { requests: 10_000, windowMs: hour }, false],
      ["enterprise", { requests: 50_000, windowMs: hour }, true],
    ]);
    const { access } = profile;
    if (access.kind !== "permissions") throw new Error("Watchman Tower's keys have permissions");
    const [readOnly, full] = access.permissions;
    expect([readOnly?.name, full?.name]).toEqual(["read-only", "full"]);
    expect(readOnly?.scopes).toEqual(["monitors:read", "metrics:read", "incidents:read", "uptime:read"]);
    expect(full?.scopes).toEqual(expect.arrayContaining([...(readOnly?.scopes ?? []), "monitors:write"]));
    expect(profile.presentation.errors.body).toEqual({
      success: false,
      error: { code: "{code}", message: "{message}" },
    });
    expect(Object.fromEntries(profile.presentation.errors.codes)).toEqual({
      unauthenticated: "UNAUTHORIZED",
      permission_denied: "FORBIDDEN",
      rate_limited: "RATE_LIMITED",
    });
  });

  it("say of walwarden what its page says", () => {
    const profile = get("walwarden");
    expect(profile).toMatchObject({
      credentialHeaders: ["authorization"],
      expiry: "optional",
      managingTokens: "none",
      listsRevoked: true,
      requiresIdempotencyKey: true,
    });
    expect(profile.types[0]?.managers).toEqual({ any: ["owner", "admin"], own: [] });
    expect(profile.plans.map(({ name, tokens }) => [name, tokens])).toEqual([
      ["team", true],
      ["free", false],
      ["enterprise", true],
    ]);
    const { access } = profile;
    if (access.kind !== "scopes") throw new Error("walwarden's tokens have scopes");
    expect(access.catalog).toHaveLength(11);
    expect(access.catalog).toContainEqual({
      name: "evidence:export",
      description: "Export evidence bundles for external verification",
    });
    const { codes } = profile.presentation.errors;
    expect(["unauthenticated", "permission_denied", "already_exists"].map((kind) => codes.get(kind))).toEqual([
      "unauthorized",
      "forbidden",
      "conflict",
    ]);
  });

  it("say of Plane what its page says", () => {
    const profile = get("plane");
    expect(profile).toMatchObject({
      credentialHeaders: ["x-api-key"],
      basePaths: ["/api/v1"],
      access: { kind: "full" },
      expiry: "optional",
      rateLimitHeaders: { limit: undefined, remaining: "X-RateLimit-Remaining", reset: "X-RateLimit-Reset" },
    });
    expect(rateLimitOf(profile, "api_key", "standard")).toEqual({ requests: 60, windowMs: 60_000 });
    expect(rateLimitOf(profile, "service", "standard")).toEqual({ requests: 300, windowMs: 60_000 });
    expect(profile.types.map(({ name, managers }) => [name, managers])).toEqual([
      ["api_key", { any: ["owner", "admin"], own: ["member"] }],
      ["service", { any: ["owner", "admin"], own: [] }],
    ]);
    expect(Object.fromEntries(profile.presentation.requestFields)).toMatchObject({
      label: "name",
      expired_at: "expires_at",
    });
    const { responses, errors } = profile.presentation;
    expect(responses.me?.body).toMatchObject({ id: "{user.id:uuid}", display_name: "{user.display_name}" });
    const names = Object.keys(responses.issue.body as object);
    expect(names).toEqual(
      expect.arrayContaining("token label user workspace is_active expired_at last_used created_at".split(" ")),
    );
    expect(errors.body).toEqual({ detail: "{message}" });
    expect(Object.fromEntries(errors.messages)).toEqual({
      credential_missing: "Authentication credentials were not provided.",
      credential_invalid: "Given API token is not valid",
    });
  });
});

describe("the guide", () => {
  it("has an example that works", () => {
    const profile = profileIn({ "acme.yaml": acme }, "acme");
    expect(profile).toMatchObject({
      id: "acme",
      secretFormat: { prefix: "acme_", alphabet: "base62", randomLength: 40 },
      credentialHeaders: ["authorization", "x-api-key"],
      basePaths: ["/v2"],
      access: {
        kind: "permissions",
        permissions: [
          { name: "viewer", description: "Sees everything", scopes: ["orders:read"] },
          { name: "editor", description: "Changes everything", scopes: ["orders:read", "orders:write"] },
        ],
      },
      types: [
        { name: "personal", managers: { any: ["owner", "admin"], own: ["member"] } },
        { name: "machine", managers: { any: ["owner", "admin"], own: [] }, rateLimit: undefined },
      ],
      managingTokens: ["editor"],
    });
    expect(generateSecret(profile.secretFormat, randomBytes)).toMatch(/^acme_[0-9A-Za-z]{46}$/);
    // The merge key took over the token's own template.
    expect(profile.presentation.responses.issue).toEqual({
      status: 201,
      body: { ok: true, token: { ...(profile.presentation.token as object), secret: "{secret}" } },
    });
  });

  it("shows faults as they look", () => {
    const faulty = edited(
      ["id: acme", "id: plane"],
      ["random: 40", "random: 20"],
      ["60/minute", "60/min"],
      ["scopes: [orders:read, orders:write]", "scopes: [orders:read, orders:delete]"],
    );
    expect(faultsIn({ "acme.yaml": faulty }).toSorted()).toEqual(block("text").trim().split("\n").toSorted());
  });

  it("has every field in its table, and no other", () => {
    // The reason for a field that isn't known lists those that are.
    const document = parse(acme) as Record<string, Record<string, object>>;
    const maps = [
      document,
      document["secret"],
      document["permissions"]?.["editor"],
      document["types"]?.["personal"],
      document["managers"],
      document["plans"]?.["starter"],
      document["rate_limit_headers"],
      document["responses"],
      document["responses"]?.["list"],
      document["errors"],
      document["dashboard"],
      document["cli"],
    ];
    for (const map of maps) Object.assign(map ?? {}, { unheard_of: 1 });
    const faults = faultsIn({ "acme.json": JSON.stringify(document) });
    const known = faults.flatMap((line) => {
      const [, parent = "", names = ""] =
        /^acme\.json: (.*)unheard_of: is not a field here; there are (.*)$/.exec(line) ?? [];
      const place = parent.replace(/^(permissions|types|plans|responses)\.\w+\.$/, "$1.*.");
      return names.split(", ").map((field) => place + field);
    });
    expect(faults).toHaveLength(maps.length);
    const parents = ["secret", "managers", "rate_limit_headers", "responses", "errors", "dashboard", "cli"];
    const table = Array.from(guide.matchAll(/^\| `([a-z_.*]+)` \| [^|]*\| /gm), ([, field = ""]) => field);
    expect(table.toSorted()).toEqual(known.filter((field) => !parents.includes(field)).toSorted());
  });

  it("lists every placeholder, kind and reason", () => {
    const { token, me } = PLACEHOLDERS;
    const rows: Readonly<Record<string, readonly string[]>> = {
      "`token`": token,
      "`responses.issue`": PLACEHOLDERS.issue.filter((name) => !(token as readonly string[]).includes(name)),
      "`responses.token`, `responses.revoke`": PLACEHOLDERS.oneToken.filter(
        (name) => !(token as readonly string[]).includes(name),
      ),
      "`responses.list`": PLACEHOLDERS.list,
      "`responses.me`": me,
      "`responses.login`": PLACEHOLDERS.login.filter((name) => !(me as readonly string[]).includes(name)),
      "`responses.refresh`": PLACEHOLDERS.refresh,
      "`errors.body`": PLACEHOLDERS.error,
    };
    for (const [place, names] of Object.entries(rows)) {
      const row = guide.split("\n").find((line) => line.startsWith(`| ${place} | `) && line.includes("`{"));
      expect(Array.from(row?.matchAll(/`\{([^}]+)\}`/g) ?? [], ([, name]) => name)).toEqual(names);
    }
    expect(guide).toContain(ERROR_KINDS.map((kind) => `\`${kind}\``).join(", "));
    expect(guide).toContain(ERROR_REASONS.map((reason) => `\`${reason}\``).join(", "));
  });
});

const A_NAME = "must be named with a letter, and then up to 63 letters, digits and characters of ._:-";

describe("a fault in a file has a line", () => {
  const cases: readonly (readonly [title: string, from: string, to: string, ...lines: readonly string[]])[] = [
    ["no id", "id: acme\n", "", "id: is required"],
    [
      "an id of other characters",
      "id: acme\n",
      "id: Acme\n",
      "id: must be up to 64 lower-case letters, digits and dashes, such as acme",
    ],
    [
      "an id that is a number",
      "id: acme\n",
      "id: 7\n",
      "id: must be up to 64 lower-case letters, digits and dashes, such as acme",
    ],
    [
      "a prefix without an underscore at the end",
      "prefix: acme_",
      "prefix: acme",
      "secret.prefix: must be 2 to 16 characters of a-z, 0-9 and _, the last one _, such as ac_",
    ],
    [
      "a long prefix",
      "prefix: acme_",
      "prefix: acme_acme_acme_acme_",
      "secret.prefix: must be 2 to 16 characters of a-z, 0-9 and _, the last one _, such as ac_",
    ],
    ["an unknown alphabet", "base62", "base64", "secret.alphabet: must be one of hex, base62"],
    [
      "too little randomness",
      "random: 40",
      "random: 21",
      "secret.random: must be at least 22 for base62, which makes 128 bits",
    ],
    [
      "too little randomness in hex",
      "alphabet: base62, random: 40",
      "alphabet: hex, random: 31",
      "secret.random: must be at least 32 for hex, which makes 128 bits",
    ],
    ["few random characters", "random: 40", "random: 3", "secret.random: must be a whole number from 20 to 200"],
    ["many random characters", "random: 40", "random: 201", "secret.random: must be a whole number from 20 to 200"],
    ["half a character", "random: 40", "random: 40.5", "secret.random: must be a whole number from 20 to 200"],
    ["a number in quotes", "random: 40", 'random: "40"', "secret.random: must be a whole number from 20 to 200"],
    ["an unknown credential", "[bearer, x-api-key]", "[cookie]", "credentials[0]: must be one of bearer, x-api-key"],
    ["no credential", "[bearer, x-api-key]", "[]", "credentials: must hold at least one"],
    ["a credential twice", "[bearer, x-api-key]", "[bearer, bearer]", "credentials[1]: stands there twice"],
    ["a credential that isn't in a list", "[bearer, x-api-key]", "bearer", "credentials: must be a list"],
    ["no base path", "[/v2]", "[]", "base_paths: must hold at least one"],
    ["a base path twice", "[/v2]", "[/v2, /v3, /v2]", "base_paths[2]: stands there twice"],
    ...["v2", "/v2/", "/", "//v2", "/../v2", "/v2?x", "/v 2"].map(
      (path) =>
        [
          `the base path ${path}`,
          "[/v2]",
          `["${path}"]`,
          "base_paths[0]: must be a path that starts with / and doesn't end with it, such as /api/v1",
        ] as const,
    ),
    ["an unknown access", "access: permissions", "access: some", "access: must be one of full, scopes, permissions"],
    [
      "scopes and permissions with full access",
      "access: permissions",
      "access: full",
      "scopes: has no place with access: full",
      "permissions: has no place with access: full",
      "managing_tokens: can be a list with access: permissions only",
    ],
    [
      "permissions with scopes",
      "access: permissions",
      "access: scopes",
      "permissions: has no place with access: scopes",
      "managing_tokens: can be a list with access: permissions only",
    ],
    [
      "a wildcard",
      "orders:write: Make",
      "orders:*: Make",
      'scopes."orders:*": must not hold *: there is no wildcard',
      'permissions.editor.scopes[1]: is not a scope; there are orders:read, "orders:*"',
    ],
    [
      "a scope with a space in it",
      "orders:read: See",
      '"see orders": x\n  orders:read: See',
      'scopes."see orders": must be named with 1 to 64 visible ASCII characters other than " and \\',
    ],
    ["a scope without a description", "See orders", "", "scopes.orders:read: must be a text, and not empty"],
    [
      "a permission's unknown scope",
      "scopes: [orders:read]",
      "scopes: [orders:see]",
      "permissions.viewer.scopes[0]: is not a scope; there are orders:read, orders:write",
    ],
    [
      "a permission's scope twice",
      "scopes: [orders:read]",
      "scopes: [orders:read, orders:read]",
      "permissions.viewer.scopes[1]: stands there twice",
    ],
    ["a permission that isn't a map", "viewer: {", "boss: yes\n  viewer: {", "permissions.boss: must be a map"],
    ["a permission's unusable name", "viewer: {", "9lives: {", `permissions.9lives: ${A_NAME}`],
    ["a type's unusable name", "machine: {", "2026: {", `types.2026: ${A_NAME}`],
    [
      "the type of service keys",
      "machine: {",
      "service_key: {",
      "types.service_key: is kept for Latchkey's own service keys",
    ],
    ["a type without a description", "{ description: For servers }", "{}", "types.machine.description: is required"],
    [
      "a rate limit without a unit",
      "60/minute",
      "60",
      "types.personal.rate_limit: must be a number and a unit, such as 100/hour",
    ],
    ...["0/minute", "1.5/minute", "60/fortnight", "60 / minute", "-1/hour", "1e3/hour"].map(
      (rate) =>
        [
          `the rate limit ${rate}`,
          "60/minute",
          rate,
          "types.personal.rate_limit: must be a number and a unit, such as 100/hour",
        ] as const,
    ),
    [
      "an unknown role",
      "own: [member]",
      "own: [guest]",
      "types.personal.managers.own[0]: must be one of owner, admin, member",
    ],
    ["a role twice", "own: [member]", "own: [member, member]", "types.personal.managers.own[1]: stands there twice"],
    ["an unknown expiry", "expiry: optional", "expiry: sometimes", "expiry: must be one of never, optional"],
    [
      "tokens that manage by an unknown permission",
      "managing_tokens: [editor]",
      "managing_tokens: [owner]",
      "managing_tokens[0]: is not a permission; there are viewer, editor",
    ],
    ...["some", "[]", "[editor, editor]", "null"].map(
      (managing) =>
        [
          `managing tokens ${managing}`,
          "managing_tokens: [editor]",
          `managing_tokens: ${managing}`,
          "managing_tokens: must be none, all, or a list of permissions: at least one, and none of them twice",
        ] as const,
    ),
    // YAML 1.2: `yes` is a text.
    ["a yes", "lists_revoked: true", "lists_revoked: yes", "lists_revoked: must be true or false"],
    [
      "an unknown demand for idempotency keys",
      "lists_revoked: true",
      "idempotency_key: true",
      "idempotency_key: must be one of optional, required",
    ],
    ["a plan's unusable name", "starter: {", '"": {', `plans."": ${A_NAME}`],
    [
      "a plan's unknown field",
      "ip_allowlist: true",
      "price: 9",
      "plans.business.price: is not a field here; there are rate_limit, tokens, ip_allowlist",
    ],
    [
      "a header that is none",
      "limit: RateLimit-Limit",
      'limit: "RateLimit: Limit"',
      "rate_limit_headers.limit: must be a header name, such as X-RateLimit-Limit",
    ],
    [
      "a header for two things",
      "remaining: RateLimit-Remaining",
      "remaining: ratelimit-limit",
      "rate_limit_headers.remaining: must not be the header of limit",
    ],
    [
      "an unknown request field",
      "label: name,",
      "label: title,",
      "requests.label: must be one of name, type, permission, scopes, expires_at, ip_allowlist, metadata, enabled, user_id, page_size, page_token, states, name_prefix, created_by, unused_since, update_mask, all, dry_run",
    ],
    [
      "two names for one field",
      "label: name,",
      "label: name, title: name,",
      "requests.title: must not stand for the same as label",
    ],
    [
      "a program that is Latchkey's",
      "program: acme",
      "program: latchkey",
      "cli.program: must be up to 32 lower-case letters, digits and dashes, such as acme, and not latchkey",
    ],
    [
      "a variable that is Latchkey's",
      "token_variable: ACME_TOKEN",
      "token_variable: LATCHKEY_TOKEN",
      "cli.token_variable: must be the name of a variable, such as ACME_TOKEN, and not one of Latchkey's",
    ],
    [
      "a configuration file elsewhere",
      "config_path: acme/config.json",
      "config_path: ../acme/config.json",
      "cli.config_path: must be a folder and a file in ~/.config, such as acme/config.json",
    ],
    ["half of a command line", ", config_path: acme/config.json", "", "cli.config_path: is required"],
    ["a field without a name", "label: name,", '"": name,', 'requests."": must not be empty'],
    [
      "an unknown placeholder",
      'login: { body: { ok: true, access: "{access_token}"',
      'login: { body: { ok: true, access: "{token}"',
      "responses.login.body.access: is not a placeholder here; there are {access_token}, {refresh_token}, {user.id}, {user.id:uuid}, {user.email}, {user.first_name}, {user.last_name}, {user.display_name}, {user.avatar_url}",
    ],
    [
      "a secret in a list",
      'tokens: "{tokens}"',
      'tokens: "{secret}"',
      "responses.list.body.tokens: is not a placeholder here; there are {tokens}, {next_page_token}",
    ],
    [
      "an issued token without its secret",
      'secret: "{secret}"',
      "secret: hidden",
      'responses.issue.body: must hold "{secret}" exactly once',
    ],
    [
      "a secret twice",
      'secret: "{secret}"',
      'secret: "{secret}", again: "{secret}"',
      'responses.issue.body: must hold "{secret}" exactly once',
    ],
    [
      "a placeholder among text",
      'text: "{message}"',
      'text: "Oh no: {message}"',
      "errors.body.problem.text: must be a placeholder alone, or a text without one",
    ],
    [
      "a placeholder without quotes",
      'token: "{token}"',
      "token: {token}",
      'responses.token.body.token: must be in quotes: "{token}"',
    ],
    [
      "a placeholder for a name",
      'code: "{code}"',
      '"{code}": 1',
      "errors.body.problem.{code}: must be a plain name; a placeholder stands for a value",
    ],
    ["a template's empty name", 'code: "{code}"', '"?": 1', "errors.body.problem.?: must not be empty"],
    [
      "a name with and without its mark",
      'code: "{code}"',
      'code: 1, "code?": 2',
      "errors.body.problem.code?: must not stand beside code",
    ],
    ["infinity", 'code: "{code}"', "code: .inf", "errors.body.problem.code: must be JSON"],
    [
      "a number that loses digits",
      'code: "{code}"',
      "code: 12345678901234567890",
      "errors.body.problem.code: must be JSON",
    ],
    [
      "a ring",
      "body: { ok: false",
      "body: &body { again: [*body, *body], ok: false",
      "errors.body.again[0]: must not hold what it lies in",
      "errors.body.again[1]: must not hold what it lies in",
    ],
    [
      "a deep template",
      'code: "{code}"',
      `code: ${"[".repeat(40)}${"]".repeat(40)}`,
      `errors.body.problem.code${"[0]".repeat(30)}: must not hold anything: it lies 32 levels deep`,
    ],
    [
      "a status that is a failure",
      "status: 201",
      "status: 404",
      "responses.issue.status: must be a whole number from 200 to 299",
    ],
    [
      "a status without a body",
      "status: 201",
      "status: 204",
      "responses.issue.status: must be a status that comes with a body",
    ],
    ["no answer to a revoke", "revoke: { body: { ok: true } }", "", "responses.revoke: is required"],
    ["no body", "revoke: { body: { ok: true } }", "revoke: {}", "responses.revoke.body: is required"],
    [
      "an answer to nothing",
      "revoke: {",
      "rotate: { body: 1 }\n  revoke: {",
      "responses.rotate: is not a field here; there are issue, token, list, revoke, login, refresh, me",
    ],
    [
      "a code for no kind",
      "unauthenticated: who_are_you",
      "forbidden: nope",
      `errors.codes.forbidden: must be one of ${ERROR_KINDS.join(", ")}`,
    ],
    [
      "a code for a reason",
      "unauthenticated: who_are_you",
      "credential_missing: nope",
      `errors.codes.credential_missing: must be one of ${ERROR_KINDS.join(", ")}`,
    ],
    ["an empty code", "who_are_you", '" "', "errors.codes.unauthenticated: must be a text, and not empty"],
    [
      "a message for no reason",
      "messages: { credential_invalid",
      "messages: { credential_lost",
      `errors.messages.credential_lost: must be one of ${[...ERROR_KINDS, ...ERROR_REASONS].join(", ")}`,
    ],
    [
      "a section that is empty",
      "managers: { any: [owner, admin] }\nmanaging",
      "managers:\nmanaging",
      "managers: must be a map",
    ],
    [
      "a name that breaks the line",
      "lists_revoked: true",
      '"a\\nb.c": 1',
      expect.stringContaining('"a\\nb.c": is not a field here') as string,
    ],
  ];

  it.each(cases)("%s", (_title, from, to, ...lines) => {
    expect(faultsIn({ "acme.yaml": edited([from, to]) })).toEqual(
      lines.map((line) => (typeof line === "string" ? `acme.yaml: ${line}` : line)),
    );
  });

  it.each(["types", "plans", "scopes", "permissions"])("no %s at all", (field) => {
    const document = { ...(parse(acme) as object), [field]: {} };
    expect(faultsIn({ "acme.json": JSON.stringify(document) })).toContain(
      `acme.json: ${field}: must hold at least one`,
    );
  });

  it.each(["scopes", "permissions"])("no %s where the access wants them", (field) => {
    const { [field]: _, ...document } = parse(acme) as Record<string, unknown>;
    expect(faultsIn({ "acme.json": JSON.stringify(document) })).toEqual([
      `acme.json: ${field}: is required with access: permissions`,
    ]);
  });

  it("of every field that is missing", () => {
    expect(faultsIn({ "a.yaml": "{}" })).toEqual(
      ["id", "secret", "credentials", "base_paths", "access", "expiry", "plans", "token", "responses", "errors"].map(
        (field) => `a.yaml: ${field}: is required`,
      ),
    );
  });

  it.each(["", "# nothing\n", "[]", "text", "3", "null"])("of a document that is %j", (text) => {
    expect(faultsIn({ "a.yaml": text })).toEqual(["a.yaml: must be a map"]);
  });
});

describe("a file that can't be read has a line", () => {
  it.each([
    ["an open bracket", "id: [a\nsecret: b\n", /^a\.yaml: line 2: Flow sequence/],
    ["a name twice", "id: a\nexpiry: never\nid: b\n", /^a\.yaml: line 3: Map keys must be unique$/],
    ["a name that isn't text", "? [a]\n: b\n", /^a\.yaml: line 1: .*keys must be strings$/],
    ["a tag", "id: a\nexpiry: !when never\n", /^a\.yaml: line 2: Unresolved tag: !when$/],
    ["a type that JSON hasn't", "id: !!binary abcd\n", /^a\.yaml: line 1: Unresolved tag/],
    ["a second document", "id: a\n---\nid: b\n", /^a\.yaml: line 2: a second document starts$/],
    [
      "the name __proto__",
      "id: a\ntoken:\n  x: { __proto__: { id: b } }\n",
      /^a\.yaml: line 3: __proto__ can't be a name$/,
    ],
    ["an alias of nothing", "id: *a\n", /^a\.yaml: Unresolved alias .*: a$/],
    ["a merge of nothing", "<<: 3\n", /^a\.yaml: Merge sources must be maps/],
    ["endless brackets", "[".repeat(50_000), /^a\.yaml: line 1: is nested too deeply$/],
  ])("%s", (_title, text, line) => {
    expect(faultsIn({ "a.yaml": text })).toEqual([expect.stringMatching(line)]);
  });

  it("for each of its faults, but not without end", () => {
    expect(faultsIn({ "a.yaml": "id: a\nid: b\nexpiry: never\nexpiry: never\n" })).toEqual([
      "a.yaml: line 2: Map keys must be unique",
      "a.yaml: line 4: Map keys must be unique",
    ]);
    expect(faultsIn({ "a.yaml": "id: a\n".repeat(100) })).toHaveLength(5);
  });

  it("aliases that multiply", () => {
    const levels = Array.from("bcdefgh", (name, index) => `${name}: &${name} [${`*${"abcdefg"[index]},`.repeat(9)}]`);
    expect(faultsIn({ "a.yaml": ["a: &a [1]", ...levels].join("\n") })).toEqual([
      expect.stringMatching(/^a\.yaml: Excessive alias count/),
    ]);
  });

  it.each([
    ["YAML", acme],
    ["a comma too many", '{"id": "a",}'],
    ["nothing", ""],
  ])("JSON that is %s", (_title, text) => {
    expect(faultsIn({ "a.json": text })).toEqual([expect.stringMatching(/^a\.json: must be JSON: .+$/)]);
  });

  it("JSON with a name twice", () => {
    expect(faultsIn({ "a.json": '{\n  "id": "a",\n  "id": "b"\n}' })).toEqual([
      "a.json: line 3: Map keys must be unique",
    ]);
  });

  it("text that isn't UTF-8", () => {
    expect(faultsIn({ "a.yaml": Buffer.from([0x69, 0x64, 0x3a, 0x20, 0xff]) })).toEqual(["a.yaml: must be UTF-8"]);
  });

  it("a file over 256 KiB, but not one of exactly that", () => {
    const padded = (size: number): string => `${acme}#${" ".repeat(size - acme.length - 1)}`;
    expect(faultsIn({ "a.yaml": padded(256 * 1024) })).toEqual([]);
    expect(faultsIn({ "a.yaml": padded(256 * 1024 + 1) })).toEqual(["a.yaml: is larger than 256 KiB"]);
  });

  it("a folder by that name, and a link to nowhere", () => {
    const directory = folder({ "c.yaml": acme });
    mkdirSync(join(directory, "a.yaml"));
    symlinkSync(join(directory, "nowhere"), join(directory, "b.yml"));
    expect(faultsOf(directory)).toEqual([
      "a.yaml: is not a file",
      expect.stringMatching(/^b\.yml: can't be read: ENOENT/),
    ]);
  });

  it("a folder that isn't there, or isn't one", () => {
    const directory = folder({ file: "" });
    expect(faultsOf(join(directory, "none"))).toEqual([expect.stringMatching(/none: can't be read: ENOENT/)]);
    expect(faultsOf(join(directory, "file"))).toEqual([expect.stringMatching(/file: can't be read: ENOTDIR/)]);
  });
});

describe("a folder", () => {
  it("is read by name, and only what is YAML or JSON", () => {
    const named = (id: string): string =>
      edited(["id: acme", `id: ${id}`], ["prefix: acme_", `prefix: ${id}_`], ["program: acme", `program: ${id}`]);
    const directory = folder({
      "b.yml": named("b"),
      "c.yaml": named("c"),
      "a.json": JSON.stringify(parse(named("a"))),
      "README.md": "# not: [a profile",
      "d.yaml.bak": "not: [a profile",
      ".e.yaml": "not: [a profile",
      ".yaml": "not: [a profile",
    });
    symlinkSync(join(directory, "b.yml"), join(directory, "link.txt"));
    expect(
      loadProfiles(directory)
        .all.map(({ id }) => id)
        .slice(-3),
    ).toEqual(["a", "b", "c"]);
  });

  it("holds the same profile as YAML and as JSON", () => {
    expect(profileIn({ "a.json": `${JSON.stringify(parse(acme, { merge: true }), null, "\t")}\n` }, "acme")).toEqual(
      profileIn({ "a.yaml": acme }, "acme"),
    );
  });

  it("may be reached over a link, with links in it", () => {
    const data = folder({ "acme.yaml": acme });
    const mounted = folder({});
    symlinkSync(join(data, "acme.yaml"), join(mounted, "acme.yaml"));
    symlinkSync(mounted, join(data, "link"));
    expect(faultsOf(join(data, "link"))).toEqual([]);
  });

  it("with faults in several files is refused for all of them", () => {
    const faults = faultsIn({
      "a.yaml": edited(["expiry: optional", "expiry: now"], ["status: 201", "status: 500"]),
      "b.yaml": "id: [",
      "c.yaml": edited(["id: acme", "id: plane"], ["prefix: acme_", "prefix: c_"]),
      "d.json": "[]",
    });
    expect(faults).toEqual([
      "a.yaml: expiry: must be one of never, optional",
      "a.yaml: responses.issue.status: must be a whole number from 200 to 299",
      expect.stringMatching(/^b\.yaml: line 1: /),
      "d.json: must be a map",
      "c.yaml: id: is that of the built-in profile plane",
    ]);
  });
});

describe("two profiles", () => {
  const as = (id: string, prefix: string): string =>
    edited(["id: acme", `id: ${id}`], ["prefix: acme_", `prefix: ${prefix}`]).replace(/^cli: .*\n/m, "");

  it("can't have one id", () => {
    expect(faultsIn({ "a.yaml": as("acme", "a_"), "b.yaml": as("acme", "b_") })).toEqual([
      "b.yaml: id: is that of a.yaml",
    ]);
  });

  it.each(["plane", "walwarden", "watchmantower", "watchplane", "latchkey"])("can't both be %s", (id) => {
    expect(faultsIn({ "a.yaml": as(id, "a_") })).toEqual([`a.yaml: id: is that of the built-in profile ${id}`]);
  });

  it.each([
    ["a_", "a_"],
    ["a_", "a_b_"],
    ["a_b_", "a_"],
  ])("can't have the prefixes %s and %s", (first, second) => {
    expect(faultsIn({ "a.yaml": as("a", first), "b.yaml": as("b", second) })).toEqual([
      `b.yaml: secret.prefix: ${second} collides with ${first} of a.yaml`,
    ]);
  });

  it.each([
    ["pk_", "pk_ of the built-in profile plane"],
    ["pk_test_", "pk_ of the built-in profile plane"],
    ["wmt_", "wmt_api_ of the built-in profile watchmantower"],
    ["lk_live_", "lk_ of the built-in profile latchkey"],
  ])("can't have the prefix %s and that of a built-in one", (prefix, other) => {
    expect(faultsIn({ "a.yaml": as("a", prefix) })).toEqual([
      `a.yaml: secret.prefix: ${prefix} collides with ${other}`,
    ]);
  });

  it("can't have one program", () => {
    const cli = "cli: { program: wp, token_variable: OUR_TOKEN, config_path: our/config.json }\n";
    expect(faultsIn({ "a.yaml": as("a", "a_") + cli })).toEqual([
      "a.yaml: cli.program: is that of the built-in profile watchplane",
    ]);
    const ours = cli.replace("wp", "ours");
    expect(faultsIn({ "a.yaml": as("a", "a_") + ours, "b.yaml": as("b", "b_") + ours })).toEqual([
      "b.yaml: cli.program: is that of a.yaml",
    ]);
  });

  it("can have prefixes that only look alike", () => {
    expect(faultsIn({ "a.yaml": as("a", "ab_"), "b.yaml": as("b", "abc_"), "c.yaml": as("c", "pk2_") })).toEqual([]);
  });

  it("are compared even if they have other faults", () => {
    expect(
      faultsIn({ "a.yaml": `${as("a", "a_")}x: 1\n`, "b.yaml": `${as("a", "a_b_")}x: 1\n` }).map((line) =>
        line.replace(/there are .*/, ""),
      ),
    ).toEqual([
      "a.yaml: x: is not a field here; ",
      "b.yaml: x: is not a field here; ",
      "b.yaml: id: is that of a.yaml",
      "b.yaml: secret.prefix: a_b_ collides with a_ of a.yaml",
    ]);
  });
});

describe("what a file may leave out", () => {
  it("is what the guide says it is", () => {
    const document = parse(acme, { merge: true }) as Record<string, unknown>;
    const kept = ["id", "secret", "credentials", "base_paths", "expiry", "token", "responses"];
    const least = {
      ...Object.fromEntries(kept.map((field) => [field, document[field]])),
      access: "full",
      plans: { only: {} },
      errors: { body: null },
    };
    expect(profileIn({ "a.json": JSON.stringify(least) }, "acme")).toMatchObject({
      types: [{ name: "", description: "", managers: { any: [], own: [] }, rateLimit: undefined }],
      plans: [{ name: "only", rateLimit: undefined, tokens: true, ipAllowlist: false }],
      managingTokens: "none",
      listsRevoked: false,
      requiresIdempotencyKey: false,
      rateLimitHeaders: { limit: undefined, remaining: undefined, reset: undefined },
      presentation: {
        requestFields: new Map(),
        responses: { list: { status: 200 }, me: undefined },
        errors: { body: null, codes: new Map(), messages: new Map() },
      },
    });
  });
});

const word = (first: string, others: string, maxLength: number): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...first),
      fc.array(fc.constantFrom(...others), { maxLength: maxLength - 1 }).map((letters) => letters.join("")),
    )
    .map((parts) => parts.join(""));

const LOWER = "abcdefghijklmnopqrstuvwxyz";
const name = word(`${LOWER}${LOWER.toUpperCase()}`, `${LOWER}0123456789._:-`, 64).filter(
  (value) => value !== "service_key",
);
const description = fc.string({ minLength: 1, unit: "grapheme" }).filter((value) => /\S/.test(value));
const rate = fc
  .tuple(fc.integer({ min: 1, max: 999_999_999 }), fc.constantFrom("second", "minute", "hour", "day"))
  .map(([requests, unit]) => `${requests}/${unit}`);
const mapOf = <T>(key: fc.Arbitrary<string>, value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(key, value, { minKeys: 1, maxKeys: 5, noNullPrototype: true });
const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const managers = fc.record({ any: fc.subarray([...ROLES]), own: fc.subarray([...ROLES]) }, { requiredKeys: [] });

/** JSON in which these placeholders stand for values. */
function template(placeholders: readonly string[]): fc.Arbitrary<unknown> {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(...placeholders.map((placeholder) => `{${placeholder}}`)),
      fc.string().filter((text) => !/[{}]/.test(text)),
      fc.oneof(fc.integer(), fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.boolean(), fc.constant(null)),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(
        word(LOWER, `${LOWER}_?`, 8).filter((key) => !/\?./.test(key)),
        tie("value"),
        {
          maxKeys: 4,
          noNullPrototype: true,
        },
      ),
    ),
  }));
  // What would look like a placeholder without quotes, or like one name twice.
  return value.filter((made) => !hasOddNames(made, placeholders));
}

function hasOddNames(value: unknown, placeholders: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  const names = Array.isArray(value) ? [] : Object.keys(value);
  return (
    names.some((key) => placeholders.includes(key) || names.includes(`${key}?`)) ||
    Object.values(value).some((item) => hasOddNames(item, placeholders))
  );
}

const answer = (placeholders: readonly string[]): fc.Arbitrary<object> =>
  fc.record({ status: fc.constantFrom(200, 201, 202, 299), body: template(placeholders) }, { requiredKeys: ["body"] });

const accessFields = fc.oneof(
  fc.constant({ access: "full" }),
  fc.record({ access: fc.constant("scopes"), scopes: mapOf(name, description) }),
  mapOf(name, description).chain((scopes) =>
    fc.record({
      access: fc.constant("permissions"),
      scopes: fc.constant(scopes),
      permissions: mapOf(name, fc.record({ description, scopes: fc.subarray(Object.keys(scopes)) })),
    }),
  ),
);

const secret = fc.constantFrom("hex", "base62").chain((alphabet) =>
  fc.record({
    prefix: word(`${LOWER}0123456789_`, `${LOWER}0123456789_`, 15).map((start) => `${start}_`),
    alphabet: fc.constant(alphabet),
    random: fc.integer({ min: alphabet === "hex" ? 32 : 22, max: 200 }),
  }),
);

const builtIn = loadProfiles(undefined);
const collides = (prefix: string): boolean =>
  builtIn.all.some(({ secretFormat: other }) => other.prefix.startsWith(prefix) || prefix.startsWith(other.prefix));

interface Document {
  readonly id: string;
  readonly secret: { readonly prefix: string; readonly alphabet: string; readonly random: number };
  readonly types?: Readonly<Record<string, object>>;
  readonly plans: Readonly<Record<string, object>>;
}

/** Any document that is right, whatever it says. */
const validDocument = fc
  .tuple(
    accessFields,
    fc.record({
      id: word(`${LOWER}0123456789`, `${LOWER}0123456789-`, 64).filter((id) => builtIn.get(id) === undefined),
      secret: secret.filter(({ prefix }) => !collides(prefix)),
      credentials: fc.subarray(["bearer", "x-api-key"], { minLength: 1 }),
      base_paths: fc.uniqueArray(
        fc
          .array(word(`${LOWER}0123456789_~-`, `${LOWER}0123456789._~-`, 8), { minLength: 1, maxLength: 3 })
          .map((parts) => `/${parts.join("/")}`),
        { minLength: 1, maxLength: 3 },
      ),
      types: some(
        mapOf(name, fc.record({ description, managers, rate_limit: rate }, { requiredKeys: ["description"] })),
      ),
      expiry: fc.constantFrom("never", "optional"),
      managers: some(managers),
      managing_tokens: some(fc.constantFrom("none", "all")),
      lists_revoked: some(fc.boolean()),
      idempotency_key: some(fc.constantFrom("optional", "required")),
      plans: mapOf(
        name,
        fc.record({ rate_limit: rate, tokens: fc.boolean(), ip_allowlist: fc.boolean() }, { requiredKeys: [] }),
      ),
      requests: some(
        fc.uniqueArray(fc.constantFrom("name", "type", "scopes", "expires_at")).chain((targets) =>
          fc
            .uniqueArray(description, { minLength: targets.length, maxLength: targets.length })
            .map((names) => Object.fromEntries(names.map((key, index) => [key, targets[index]])))
            .filter((requests) => !Object.hasOwn(requests, "__proto__")),
        ),
      ),
      token: template(PLACEHOLDERS.token),
      responses: fc.record(
        {
          issue: template(PLACEHOLDERS.oneToken).map((rest) => ({ body: { rest, secret: "{secret}" } })),
          token: answer(PLACEHOLDERS.oneToken),
          list: answer(PLACEHOLDERS.list),
          revoke: answer(PLACEHOLDERS.oneToken),
          login: answer(PLACEHOLDERS.login),
          refresh: answer(PLACEHOLDERS.refresh),
          me: answer(PLACEHOLDERS.me),
        },
        { requiredKeys: ["issue", "token", "list", "revoke", "login", "refresh"] },
      ),
      errors: fc.record(
        {
          body: template(PLACEHOLDERS.error),
          codes: fc.dictionary(fc.constantFrom(...ERROR_KINDS), description, { noNullPrototype: true }),
          messages: fc.dictionary(fc.constantFrom(...ERROR_KINDS, ...ERROR_REASONS), description, {
            noNullPrototype: true,
          }),
        },
        { requiredKeys: ["body"] },
      ),
    }),
  )
  // Without the fields that are undefined, as a file would have them.
  .map(([access, rest]) => JSON.parse(JSON.stringify({ ...rest, ...access })) as Document);

const asYaml = (document: unknown): string => stringify(document, { version: "1.2", schema: "core" });

describe("any valid profile", () => {
  it("is read as it is written, and its secrets are its own alone", () => {
    fc.assert(
      fc.property(validDocument, fc.boolean(), (document, isYaml) => {
        const files: Files = isYaml ? { "any.yaml": asYaml(document) } : { "any.json": JSON.stringify(document) };
        expect(faultsIn(files)).toEqual([]);
        const profiles: Profiles = loadProfiles(folder(files));
        const profile = profiles.get(document.id);
        expect(profile?.secretFormat).toEqual({
          prefix: document.secret.prefix,
          alphabet: document.secret.alphabet,
          randomLength: document.secret.random,
        });
        expect(profile?.plans.map((plan) => plan.name)).toEqual(Object.keys(document.plans));
        expect(profile?.types.map((type) => type.name)).toEqual(Object.keys(document.types ?? { "": {} }));
        expect(JSON.parse(JSON.stringify(profile?.presentation.token))).toEqual(
          (document as unknown as { token: unknown }).token,
        );
        for (const owner of profiles.all) {
          const made = generateSecret(owner.secretFormat, randomBytes);
          const claimants = profiles.all.filter(({ secretFormat }) => isWellFormed(secretFormat, made));
          expect(claimants.map(({ id }) => id)).toEqual([owner.id]);
          expect(profiles.ofSecret(made)?.id).toBe(owner.id);
          expect(profiles.ofPrefix(made)?.id).toBe(owner.id);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** The document with one value replaced, taken out or put in, wherever `choose` leads. */
function mutated(value: unknown, choose: (below: number) => number, other: unknown): unknown {
  if (typeof value !== "object" || value === null || choose(6) === 0) return other;
  const entries = Object.entries(value);
  const at = choose(entries.length + 1);
  const entry = entries[at];
  if (entry === undefined) entries.push([["__proto__", "types", "{id}", "a\nb", "1"][choose(5)] ?? "", other]);
  else if (choose(8) === 0) entries.splice(at, 1);
  else entries[at] = [entry[0], mutated(entry[1], choose, other)];
  return Array.isArray(value) ? entries.map(([, item]): unknown => item) : Object.fromEntries(entries);
}

describe("whatever is in a file", () => {
  const isJudged = (file: string, content: string | Uint8Array): void => {
    for (const line of faultsIn({ [file]: content }))
      expect(line).toMatch(new RegExp(`^${file.replace(".", "\\.")}: .`));
  };

  it("is a profile or a list of faults, for any value in any field", () => {
    fc.assert(
      fc.property(
        validDocument,
        fc.infiniteStream(fc.nat()),
        fc.jsonValue({ maxDepth: 3 }),
        (document, stream, other) => {
          const choose = (below: number): number => (stream.next().value as number) % below;
          const text = JSON.stringify(mutated(document, choose, other));
          isJudged("any.json", text);
          isJudged("any.yaml", text);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("is a profile or a list of faults, for any slip of the keyboard", () => {
    const bits = fc.oneof(
      fc.constantFrom(
        ...Array.from("{}[]:,&*!|>'\"%@#-? \t\n\\"),
        "<<: ",
        "*token",
        "&token",
        "---\n",
        "\r\n",
        "\0",
        "\uFEFF",
        "!!set ",
        "~",
      ),
      fc.string({ unit: "binary", maxLength: 5 }),
    );
    const edit = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 30 }), bits);
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edits.reduce((before, [place, removed, added]) => {
          const at = Math.floor(place * before.length);
          return before.slice(0, at) + added + before.slice(at + removed);
        }, acme);
        isJudged("any.yaml", text);
      }),
      { numRuns: 300 },
    );
  });

  it("is a profile or a list of faults, for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => isJudged("any.yml", bytes)),
      { numRuns: 100 },
    );
  });
});

it("every file of the profiles' folder that isn't code is a built-in profile", () => {
  const names = readdirSync(join(import.meta.dirname, "../../src/profiles")).filter((file) => !file.endsWith(".ts"));
  expect(names.map((file) => file.replace(/\.yaml$/, "")).toSorted()).toEqual(
    loadProfiles(undefined).all.map(({ id }) => id),
  );
});
