/**
 * Every sentence, table row, bullet and example of the five source documents that says how the service
 * behaves, in our own words. `docs/conformance.md` is made of it; see `conformance.ts`.
 */

export interface Sentence {
  readonly id: string;
  /** The source document, among `shared/seeds`. */
  readonly source: string;
  readonly says: string;
  /** The part of the service that brings it, for what isn't there yet. */
  readonly later?: string;
}

/** A sentence that tells people what to do, and asks nothing of the service. */
export interface Advice {
  readonly source: string;
  readonly says: string;
}

/** A source document. */
export interface Page {
  readonly source: string;
  /** What its sentences' ids start with. */
  readonly prefix: string;
  readonly title: string;
}

const TOKENS = "000_c075391209162c8e.txt";
const AUTH = "001_1634bdcb9da5c8da.txt";
const WATCHMANTOWER = "002_d566df6c1920fe91.txt";
const WALWARDEN = "003_e393c44714fd381d.txt";
const PLANE = "004_b248e2898bc0875c.txt";

export const PAGES: readonly Page[] = [
  { source: TOKENS, prefix: "watchplane-tokens", title: "Watchplane: API tokens" },
  { source: AUTH, prefix: "watchplane-auth", title: "Watchplane: authentication" },
  { source: WATCHMANTOWER, prefix: "watchmantower", title: "Watchman Tower: API keys" },
  { source: WALWARDEN, prefix: "walwarden", title: "walwarden: dashboard API tokens" },
  { source: PLANE, prefix: "plane", title: "Plane: authentication" },
];

/** Sentences by id: what they say, and for those that are for later the part that brings them. */
type Entries = Readonly<Record<string, string | readonly [says: string, later: string]>>;

function page(source: string, entries: Entries): readonly Sentence[] {
  return Object.entries(entries).map(([id, entry]) =>
    typeof entry === "string" ? { id, source, says: entry } : { id, source, says: entry[0], later: entry[1] },
  );
}

export const SENTENCES: readonly Sentence[] = [
  ...page(TOKENS, {
    "watchplane-tokens-01": "Tokens for programs are created and managed over the API.",
    "watchplane-tokens-02": "A token is long-lived.",
    "watchplane-tokens-03": "A token starts with `wp_`.",
    "watchplane-tokens-04": "A token is sent in `X-Api-Key`.",
    "watchplane-tokens-05": "Only admins of the organization can create a token.",
    "watchplane-tokens-06": "Only admins of the organization can revoke a token.",
    "watchplane-tokens-07": "Settings → API Tokens has “New token”: a name, Create, and the token to copy.",
    "watchplane-tokens-08": "A token is not shown again after it was created.",
    "watchplane-tokens-09": "`POST /api/v1/api-tokens` with an access token creates a token.",
    "watchplane-tokens-10": "A creation sends JSON with the name.",
    "watchplane-tokens-11": "The answer to a creation is `data` with `id`, `name`, `token` and `createdAt`.",
    "watchplane-tokens-12": "The token's value is in that one answer only.",
    "watchplane-tokens-13": "`GET /api/v1/api-tokens` with an access token lists the tokens.",
    "watchplane-tokens-14": "Each of the list's `data` has `id`, `name`, `lastUsedAt` and `createdAt`.",
    "watchplane-tokens-15": "The list never holds a token's value.",
    "watchplane-tokens-16": "`DELETE /api/v1/api-tokens/{id}` with an access token revokes the token.",
    "watchplane-tokens-17": "A revoke is answered 200, with a message that says so.",
    "watchplane-tokens-18": "A revoked token is invalid at once.",
    "watchplane-tokens-19": "`X-Api-Key` works for every request.",
    "watchplane-tokens-20": "The example asks for a resource of the product, with `X-Api-Key`.",
    "watchplane-tokens-21": "The example with curl sends that header and nothing else.",
    "watchplane-tokens-22": "There can be a token for each integration.",
    "watchplane-tokens-23": "A token has full admin access.",
    "watchplane-tokens-24": "Separate accounts keep different levels of access apart.",
    "watchplane-tokens-25": "A token is rotated by revoking it and creating it again.",
    "watchplane-tokens-26": "`lastUsedAt` tells which tokens haven't been used for long.",
    "watchplane-tokens-27": "The command line and the SDK take the token from `WATCHPLANE_TOKEN`.",
    "watchplane-tokens-28": "The example runs `wp monitors list` with that variable set.",
  }),
  ...page(AUTH, {
    "watchplane-auth-01": "There are two ways in: access tokens for people, API keys for programs.",
    "watchplane-auth-02": "`POST /api/v1/auth/login` with email and password signs in.",
    "watchplane-auth-03":
      "The answer to a login is `data` with `accessToken`, `refreshToken` and `user`, which has `id` and `email`.",
    "watchplane-auth-04": "The access token is a JSON Web Token.",
    "watchplane-auth-05": "Later requests carry the access token as `Authorization: Bearer`.",
    "watchplane-auth-06": "An access token expires after one hour.",
    "watchplane-auth-07": "The refresh token gets a new pair, without the password.",
    "watchplane-auth-08": "The refresh token is posted to `/api/v1/auth/refresh-token` as `refreshToken`.",
    "watchplane-auth-09": "Automation that runs for long uses an API key instead of a session.",
    "watchplane-auth-10": "API keys never expire unless they are revoked.",
    "watchplane-auth-11": "An API key starts with `wp_`.",
    "watchplane-auth-12": "Settings → API Tokens has “New token”: a name, and the key to copy.",
    "watchplane-auth-13": "A key is not shown again after it was created.",
    "watchplane-auth-14": "`POST /api/v1/api-tokens` with an access token and a name creates a key.",
    "watchplane-auth-15": "The answer to a creation is `data` with `id`, `name`, `token` and `createdAt`.",
    "watchplane-auth-16": "A key is sent in `X-Api-Key`.",
    "watchplane-auth-17": "`DELETE /api/v1/api-tokens/{id}` with an access token revokes the key.",
    "watchplane-auth-18": "Only admins of the organization can create and revoke tokens.",
    "watchplane-auth-19": "The command line keeps its key in `~/.config/watchplane/config.json`.",
    "watchplane-auth-20": "`wp config set --token` puts the key into that file.",
    "watchplane-auth-21": "The command line takes its key from `WATCHPLANE_TOKEN` too.",
    "watchplane-auth-22": "Google signs people in to the dashboard.",
    "watchplane-auth-23": "Google is no way into the API or the command line.",
    "watchplane-auth-24": "The sign-in routes are limited for each client address.",
    "watchplane-auth-25": "Login: 10 requests in 15 minutes.",
    "watchplane-auth-26": "Register: 5 requests an hour.",
    "watchplane-auth-27": "Restore password: 3 requests an hour.",
  }),
  ...page(WATCHMANTOWER, {
    "watchmantower-01": "Keys give programs access to the account.",
    "watchmantower-02": "Which permissions a key has can be chosen.",
    "watchmantower-03": "A key stays active until it is revoked.",
    "watchmantower-04": "A key can be revoked at any time.",
    "watchmantower-05": "All requests go to `/public/v1`.",
    "watchmantower-06": "A key is sent as `Authorization: Bearer`.",
    "watchmantower-07": "A key can be sent in `x-api-key` too.",
    "watchmantower-08": "A key is `wmt_api_` and 48 letters and digits.",
    "watchmantower-09": "The page's example of a key has that prefix, but 44 letters and digits: it is nobody's key.",
    "watchmantower-10": "Settings → API Keys has “Generate New Key”.",
    "watchmantower-11": "Keys are made over the API too, with a key that is there already.",
    "watchmantower-12": "A key has a name that describes it.",
    "watchmantower-13": "A key is read-only or has full access.",
    "watchmantower-14": "A key can have an expiration date.",
    "watchmantower-15": "A key can be restricted to addresses.",
    "watchmantower-16": "The restriction to addresses is for the Enterprise plan.",
    "watchmantower-17": "A read-only key may list and view monitors.",
    "watchmantower-18": "A read-only key may get monitors' status and metrics.",
    "watchmantower-19": "A read-only key may view incidents and history.",
    "watchmantower-20": "A read-only key may access uptime data.",
    "watchmantower-21": "A read-only key may not create or modify monitors.",
    "watchmantower-22": "A read-only key may not change alert settings.",
    "watchmantower-23": "A read-only key may not manage team members.",
    "watchmantower-24": "A read-only key may not delete resources.",
    "watchmantower-25": "A full key may do all that a read-only one may.",
    "watchmantower-26": "A full key may create, update and delete monitors.",
    "watchmantower-27": "A full key may configure alerts and integrations.",
    "watchmantower-28": "A full key may manage account settings.",
    "watchmantower-29": "There can be different keys for different services and environments.",
    "watchmantower-30": "Where nothing has to be written, a read-only key is enough, and can do no more.",
    "watchmantower-31": "Keys can be rotated every 90 days, and when members of the team change.",
    "watchmantower-32": "The use of keys can be reviewed, and unused ones revoked.",
    "watchmantower-33": "A key's rate limit is that of the plan.",
    "watchmantower-34": "Free: 100 requests an hour.",
    "watchmantower-35": "Solo: 500 requests an hour.",
    "watchmantower-36": "Team: 2,000 requests an hour.",
    "watchmantower-37": "Stack: 10,000 requests an hour.",
    "watchmantower-38": "Answers carry `X-RateLimit-Limit`.",
    "watchmantower-39": "Answers carry `X-RateLimit-Remaining`.",
    "watchmantower-40": "Answers carry `X-RateLimit-Reset`, in seconds since the epoch.",
    "watchmantower-41": "Errors come with the usual HTTP status.",
    "watchmantower-42": "401 `UNAUTHORIZED`: the key is missing or isn't valid.",
    "watchmantower-43": "403 `FORBIDDEN`: the key's permissions don't suffice.",
    "watchmantower-44": "429 `RATE_LIMITED`: the rate limit is exceeded.",
    "watchmantower-45": "The example of an error: `success: false`, and `error` with `code` and `message`.",
  }),
  ...page(WALWARDEN, {
    "walwarden-01": "Tokens are issued, scoped, listed and revoked.",
    "walwarden-02": "Tokens are bearer credentials for automation that calls the REST API, version 1.",
    "walwarden-03": "API tokens come with the Team plan.",
    "walwarden-04": "An admin or an owner manages them.",
    "walwarden-05": "They are in the dashboard, under Settings → API tokens.",
    "walwarden-06": "A token is `wal_` and hex digits.",
    "walwarden-07": "The prefix tells what the token is among other secrets.",
    "walwarden-08": "The plaintext is in the answer to the issue, and can never be had again.",
    "walwarden-09": "Only the SHA-256 fingerprint is stored.",
    "walwarden-10": "A token is sent as `Authorization: Bearer` to `/api/v1`.",
    "walwarden-11": "The scopes are a closed set, chosen when the token is issued.",
    "walwarden-12": "There is no wildcard.",
    "walwarden-13": "A token is issued with an expiry or without one.",
    "walwarden-14": "A token can be revoked at any time.",
    "walwarden-15": "Revoked tokens stay listed.",
    "walwarden-16": "Every issue and revoke is in the audit chain, with issuer, token name and scopes.",
    "walwarden-17": "The plaintext is never in the audit chain.",
    "walwarden-18": "The page lies at `/o/<your-org>/settings/api-tokens`.",
    "walwarden-19": "The list shows name, scopes, creation, last use and whether the token is revoked.",
    "walwarden-20": "The controls are hidden from people who aren't admins, and on other plans.",
    "walwarden-21": "“Issue token” opens the form.",
    "walwarden-22": "A token has a name that says where it will run.",
    "walwarden-23": "The name is visible where tokens are managed only.",
    "walwarden-24": "A scope that is missing fails closed, with 403 `forbidden`.",
    "walwarden-25": "An expiry can be set.",
    "walwarden-26": "The plaintext is revealed once, to be copied before it is dismissed.",
    "walwarden-27": "A token that is lost is revoked, and a new one issued: nothing shows it again.",
    "walwarden-28": "Scopes hold for the whole organization.",
    "walwarden-29": "A token has exactly the scopes that it was issued with.",
    "walwarden-30": "`databases:read`: see database records.",
    "walwarden-31": "`databases:write`: create, change and delete database records.",
    "walwarden-32": "`destinations:read`: see backup destinations.",
    "walwarden-33": "`destinations:write`: manage destinations and what databases are attached to them.",
    "walwarden-34": "`backups:trigger`: start, cancel and dismiss backups.",
    "walwarden-35": "`restores:read`: see restores and drills.",
    "walwarden-36": "`restores:write`: start restores and drills with a stated target.",
    "walwarden-37": "`evidence:read`: read the evidence of backups, restores and verifications.",
    "walwarden-38": "`evidence:export`: export evidence for verification elsewhere.",
    "walwarden-39": "`audit:read`: read summaries of the audit chain, verification and recoverability.",
    "walwarden-40": "`readiness:read`: read readiness, health and verification status.",
    "walwarden-41": "A token without scopes may make the calls that need none.",
    "walwarden-42": "Errors are 401, 403 and 409.",
    "walwarden-43": "The example asks for a resource of the product, with `Authorization: Bearer`.",
    "walwarden-44": "One token works for the command line, the SDK and everything else.",
    "walwarden-45": "A mutation needs an `Idempotency-Key`.",
    "walwarden-46": "A mutation that is sent again with its key isn't done again.",
    "walwarden-47": "The row of a token has Revoke.",
    "walwarden-48": "Revoking is idempotent.",
    "walwarden-49": "Revoking takes effect at once.",
    "walwarden-50": "Later requests with the token fail with 401 `unauthorized`.",
    "walwarden-51": "The row of a revoked token stays.",
  }),
  ...page(PLANE, {
    "plane-01": "Every request needs a valid API key.",
    "plane-02": "The key is sent in `X-Api-Key`.",
    "plane-03": "Settings → API Tokens has “Generate New Token”.",
    "plane-04": "A token gets a descriptive name.",
    "plane-05": "A token can get an expiration date.",
    "plane-06": "A token is not shown again after it was generated.",
    "plane-07": "The first example is `GET /api/v1/users/me/` with `X-Api-Key` and a content type.",
    "plane-08": "The next example is that without a content type.",
    "plane-09": "There are two types of tokens.",
    "plane-10": "An API key has 60 requests a minute.",
    "plane-11": "An API key has access at the level of its user.",
    "plane-12": "An API key is for personal integrations.",
    "plane-13": "A service token has 300 requests a minute.",
    "plane-14": "A service token has access at the level of the workspace.",
    "plane-15": "A service token is for production and high volume.",
    "plane-16": "`token` is the value, shown once when the token is created.",
    "plane-17": "`label` is the name.",
    "plane-18": "`user` is the UUID of the user who created the token.",
    "plane-19": "`workspace` is the UUID of the workspace that the token belongs to.",
    "plane-20": "`is_active` says whether the token is active.",
    "plane-21": "`expired_at` says when the token expires; `null` is never.",
    "plane-22": "`last_used` is the time of the last request with the token.",
    "plane-23": "`created_at` is the time of creation.",
    "plane-24": "Keys can be rotated every 90 days.",
    "plane-25": "An unused token can be deleted, at once.",
    "plane-26": "There can be different tokens for different environments.",
    "plane-27": "A token can be made with the least permissions.",
    "plane-28": "A token is specific to a workspace.",
    "plane-29": "`last_used` lets people monitor the use.",
    "plane-30": "Without a key: 401 and the sentence for a missing key.",
    "plane-31": "With an invalid key: 401 and the sentence for an invalid key.",
    "plane-32": "A key that doesn't exist is invalid.",
    "plane-33": "A key that was revoked is invalid.",
    "plane-34": "A key that has expired is invalid.",
    "plane-35": "A key that is inactive is invalid.",
    "plane-36": "With an expired key: 401 and the sentence for an invalid key.",
    "plane-37": "A key whose `expired_at` has passed is rejected.",
    "plane-38": "`/users/me/` tells whether a key works.",
    "plane-39":
      "`/users/me/` answers `id`, `first_name`, `last_name`, `email`, `display_name`, `avatar` and `avatar_url`.",
    "plane-40": "Answers carry `X-RateLimit-Remaining`.",
    "plane-41": "Answers carry `X-RateLimit-Reset`, in seconds since the epoch.",
  }),
];

export const ADVICE: readonly Advice[] = [
  { source: TOKENS, says: "Keep tokens in a secrets manager or the environment; never commit them." },
  { source: WATCHMANTOWER, says: "The API isn't released yet; there is a waiting list." },
  { source: WATCHMANTOWER, says: "Store keys securely, in the environment; never commit them." },
  {
    source: PLANE,
    says: "Store keys securely, in the environment or a secrets manager; never commit, hardcode or expose them.",
  },
];
