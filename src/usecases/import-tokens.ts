/** Brings in keys that another system made. */
import { setImmediate } from "node:timers/promises";
import { type Caller, callerId } from "../domain/caller.ts";
import {
  type DigestAlgorithm,
  type DigestEncoding,
  decodeDigest,
  digestOf,
  type ImportKey,
  schemeFingerprint,
} from "../domain/digest-scheme.ts";
import type { Organization, Token } from "../domain/entities.ts";
import { AppError, type FieldViolation, invalidArgument, missingCredential } from "../domain/errors.ts";
import { fingerprint } from "../domain/fingerprint.ts";
import { importedHint, showsTooMuch } from "../domain/imported-key.ts";
import {
  isPersonal,
  type Profile,
  type Profiles,
  SERVICE_KEY_TYPE,
  SERVICE_PROFILE_ID,
  typeOf,
} from "../domain/profile.ts";
import { secretHint } from "../domain/secret-format.ts";
import type { NewToken } from "../domain/storage.ts";
import {
  profileOf,
  requireIdempotencyKey,
  requireManager,
  requirePlanWithTokens,
  requireServiceScope,
  resolveOrganization,
} from "./authorization.ts";
import { type Attempt, type IdempotencyDeps, once } from "./idempotency.ts";
import { type KeySealer, sealImportKey } from "./import-keys.ts";
import { findUser, findViolations, makeToken, type TokenWishes } from "./issue-token.ts";
import { changeOf, type Origin } from "./origin.ts";
import type { TokenFinder } from "./token-finder.ts";

export interface ImportTokensDeps extends IdempotencyDeps {
  readonly profiles: Profiles;
  readonly tokenFinder: TokenFinder;
  readonly sealer: Omit<KeySealer, "open">;
}

/** One key, and what is to be known of it. An empty value means that there is none. */
export interface ImportRow extends TokenWishes {
  /** The key itself; else `digest` is there. */
  readonly plaintext: string;
  readonly digest: string;
  readonly algorithm: DigestAlgorithm | undefined;
  readonly encoding: DigestEncoding | undefined;
  /** Public id of the person whom a service key imports for. */
  readonly userId: string;
  readonly createdAt: Date | undefined;
  readonly hint: string;
  readonly enabled: boolean;
  /** Finds what is wrong with the row by the API's own rules. */
  readonly findFaults: () => readonly FieldViolation[];
}

export interface ImportTokensInput {
  /** Public id, or empty for the caller's own. */
  readonly organizationId: string;
  readonly rows: readonly ImportRow[];
  /** Of the rows whose algorithm is HMAC; empty for none. */
  readonly hmacKey: Uint8Array;
  readonly attempt: Attempt | undefined;
}

/** Why a row was not imported; fields are named by their row. */
export interface RefusedRow {
  readonly kind: "invalid_argument" | "permission_denied" | "already_exists";
  readonly violations: readonly FieldViolation[];
}

export type ImportOutcome = { readonly kind: "imported"; readonly token: Token } | RefusedRow;

interface ReadyRow {
  readonly kind: "ready";
  readonly newToken: NewToken;
  readonly algorithm: DigestAlgorithm;
}

/** What all rows of a call have in common. */
interface ImportCall {
  readonly caller: Caller;
  readonly organization: Organization;
  readonly profile: Profile;
  readonly hmacKey: Uint8Array;
  readonly importKey: ImportKey | undefined;
}

/** More of one row would tell nobody more, and a thousand rows have to fit into an answer. */
const MAX_VIOLATIONS_OF_ROW = 4;

const ROWS_IN_ONE_GO = 50;

const ALREADY_EXISTS: RefusedRow = { kind: "already_exists", violations: [] };

/**
 * Imports keys into the organization named, or the caller's own, and answers for each row what became of it.
 * Those that can be stored are, in one write. When this resolves, every introspection that starts later knows
 * them.
 *
 * @throws AppError, with nothing imported: `not_found` for the organization, `permission_denied` for the caller
 *   or the plan, `already_exists` for an idempotency key that served another request, `invalid_argument` for
 *   what is wrong with the call as a whole, `failed_precondition` for one HMAC key too many.
 */
export async function importTokens(
  deps: ImportTokensDeps,
  origin: Origin,
  { organizationId, rows, hmacKey, attempt }: ImportTokensInput,
): Promise<readonly ImportOutcome[]> {
  const { caller } = origin;
  const organization = await resolveOrganization(deps, caller, organizationId);
  const profile = profileOf(deps.profiles, organization);
  requireImporter(caller);
  if (profile.id === SERVICE_PROFILE_ID)
    throw invalidArgument({ field: "organization_id", description: NO_SERVICE_KEYS });
  requirePlanWithTokens(profile, organization);
  requireIdempotencyKey(profile, attempt);
  requireFittingKey(rows, hmacKey);

  const { result, confidential: refusals } = await once(deps, caller, attempt, async () => {
    const now = deps.clock();
    const importKey = hmacKey.length === 0 ? undefined : sealImportKey(deps.sealer, hmacKey, new Date(now));
    const call = { caller, organization, profile, hmacKey, importKey };
    const prepared: (ReadyRow | RefusedRow)[] = [];
    for (const [index, row] of rows.entries()) {
      // Backends ask meanwhile, and a thousand rows in one go would keep them waiting.
      if (index % ROWS_IN_ONE_GO === ROWS_IN_ONE_GO - 1) await setImmediate();
      prepared.push(await prepareRow(deps, call, row, `tokens[${index}]`));
    }
    const ready = prepared.filter((row) => row.kind === "ready");
    const algorithms = new Set(ready.map(({ algorithm }) => algorithm));
    const schemes = Array.from(algorithms, (algorithm) => ({ algorithm, key: keyOf(algorithm, call) }));
    return {
      confidential: prepared.map((row) => (row.kind === "ready" ? undefined : row)),
      write: (record) =>
        deps.storage.importTokens(
          ready.map(({ newToken }) => newToken),
          schemes,
          changeOf(origin, now),
          record,
        ),
    };
  });
  const stored = result.values();
  return refusals.map((refusal) => refusal ?? outcomeOf(stored.next().value));
}

const NO_SERVICE_KEYS = "service keys can't be imported; issue new ones";

/** An API token can't import: whatever it may do, it isn't somebody who answers for a whole customer. */
function requireImporter(caller: Caller): void {
  switch (caller.kind) {
    case "anonymous":
      throw missingCredential();
    case "service":
      return requireServiceScope(caller, "tokens:write");
    case "token":
      throw new AppError("permission_denied", "An API token can't import API tokens; sign in instead.");
    case "user":
    case "external":
      if (caller.role === "owner" || caller.role === "admin") return;
      throw new AppError("permission_denied", "Only an owner or an admin of the organization can import API tokens.");
  }
}

/** A key that is missing, or that no row is for, makes every digest of the call something else than it is. */
function requireFittingKey(rows: readonly ImportRow[], hmacKey: Uint8Array): void {
  const isWanted = rows.some(({ digest, algorithm }) => digest !== "" && algorithm === "hmac_sha256");
  if (isWanted === hmacKey.length > 0) return;
  const description = isWanted ? "is required for digests by HMAC_SHA256" : "is for digests by HMAC_SHA256 only";
  throw invalidArgument({ field: "hmac_key", description });
}

async function prepareRow(
  deps: ImportTokensDeps,
  call: ImportCall,
  row: ImportRow,
  place: string,
): Promise<ReadyRow | RefusedRow> {
  try {
    const faults = row.findFaults();
    if (faults.length > 0) throw invalidArgument(...faults);
    return await readRow(deps, call, row);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { kind, message, violations } = error;
    if (kind !== "invalid_argument" && kind !== "permission_denied") throw error;
    const found = violations.length > 0 ? violations : [{ field: "", description: message }];
    const named = found.slice(0, MAX_VIOLATIONS_OF_ROW).map(({ field, description }) => ({
      field: field === "" ? place : `${place}.${field}`,
      description,
    }));
    return { kind, violations: named };
  }
}

/** @throws AppError of kind `invalid_argument` or `permission_denied` that says what is wrong with the row */
async function readRow(deps: ImportTokensDeps, call: ImportCall, row: ImportRow): Promise<ReadyRow | RefusedRow> {
  const { caller, organization, profile } = call;
  if (row.type === SERVICE_KEY_TYPE) throw invalidArgument({ field: "type", description: NO_SERVICE_KEYS });
  const wishes = { ...row, type: row.type === "" ? (profile.types[0]?.name ?? "") : row.type };
  requireManager(caller, profile, wishes.type, undefined);
  const user = await findUser(deps, caller, organization, row.userId);
  const secret = row.plaintext === "" ? readDigest(call, row) : readPlaintext(deps, call, row);
  const violations = [
    ...secret.violations,
    ...user.violations,
    ...findViolations(profile, organization, wishes, deps.clock()),
    ...(row.createdAt !== undefined && row.createdAt.getTime() > deps.clock()
      ? [{ field: "created_at", description: "must not be in the future" }]
      : []),
  ];
  if (violations.length > 0) throw invalidArgument(...violations);
  // The store compares fingerprints, and those of other schemes are others.
  if (row.plaintext !== "" && (await deps.tokenFinder.isDigested(row.plaintext))) return ALREADY_EXISTS;
  const by = { createdBy: callerId(caller), userId: user.id, hint: secret.hint };
  const token = makeToken(deps, profile, organization.id, wishes, by);
  return {
    kind: "ready",
    newToken: {
      token: { ...token, enabled: row.enabled, createdAt: row.createdAt ?? token.createdAt },
      fingerprint: secret.fingerprint,
      isPersonal: isPersonal(typeOf(profile, wishes.type)),
    },
    algorithm: secret.algorithm,
  };
}

/** What a row says of its key. Where there are violations, the rest means nothing. */
interface ReadSecret {
  readonly algorithm: DigestAlgorithm;
  readonly fingerprint: Uint8Array;
  readonly hint: string;
  readonly violations: readonly FieldViolation[];
}

function readPlaintext({ profiles }: ImportTokensDeps, { profile }: ImportCall, row: ImportRow): ReadSecret {
  const { plaintext, hint } = row;
  const violations: FieldViolation[] = [];
  const format = profiles.ofSecret(plaintext);
  if (format?.id === SERVICE_PROFILE_ID) violations.push({ field: "plaintext", description: NO_SERVICE_KEYS });
  else if (format !== undefined && format !== profile) {
    violations.push({ field: "plaintext", description: "has the format of another product's tokens" });
  }
  if (showsTooMuch(hint, plaintext)) {
    violations.push({ field: "hint", description: "must show no more of the key than its prefix and the last four" });
  }
  if (row.name.includes(plaintext)) violations.push({ field: "name", description: "must not hold the key" });
  if (
    Object.entries(row.metadata)
      .flat()
      .some((text) => text.includes(plaintext))
  ) {
    violations.push({ field: "metadata", description: "must not hold the key" });
  }
  const ownHint = format === undefined ? importedHint(plaintext) : secretHint(format.secretFormat, plaintext);
  return { algorithm: "sha256", fingerprint: fingerprint(plaintext), hint: hint === "" ? ownHint : hint, violations };
}

function readDigest({ hmacKey, importKey }: ImportCall, row: ImportRow): ReadSecret {
  const { algorithm, encoding, digest: text, hint } = row;
  const refuse = (field: string, description: string): AppError => invalidArgument({ field, description });
  if (algorithm === undefined) throw refuse("digest_algorithm", "is required with a digest, here or in the request");
  if (encoding === undefined) throw refuse("digest_encoding", "is required with a digest, here or in the request");
  const digest = decodeDigest(text, algorithm, encoding);
  if (digest === undefined)
    throw refuse("digest", `must be a digest by ${algorithm.toUpperCase()} in ${encoding.toUpperCase()}`);
  const words = hint.split(" ").filter((word) => word !== "");
  const showsAll = words.some((word) => Buffer.compare(digestOf(algorithm, word, hmacKey), digest) === 0);
  return {
    algorithm,
    fingerprint: schemeFingerprint({ algorithm, keyId: keyOf(algorithm, { importKey })?.id }, digest),
    hint,
    violations: showsAll ? [{ field: "hint", description: "must not hold the key" }] : [],
  };
}

function keyOf(algorithm: DigestAlgorithm, { importKey }: Pick<ImportCall, "importKey">): ImportKey | undefined {
  return algorithm === "hmac_sha256" ? importKey : undefined;
}

function outcomeOf(answer: Token | "taken" | undefined): ImportOutcome {
  if (answer === undefined) throw new Error("the store answered for fewer tokens than it was given");
  return answer === "taken" ? ALREADY_EXISTS : { kind: "imported", token: answer };
}
