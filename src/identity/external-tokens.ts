/** Access tokens of other issuers as JSON Web Tokens (RFC 9068, RFC 8725): who they are about, and as what. */
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { ClaimPath, ExternalClaims, ExternalTokens, IssuerSettings } from "../domain/external-tokens.ts";
import { fromPublicId, SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import { ROLES } from "../domain/roles.ts";
import { IssuerKeys, KeysUnavailable } from "./issuer-keys.ts";

/** Clocks of issuers may be wrong by as much. */
const CLOCK_TOLERANCE_S = 30;

/** Longer than any that a header takes. */
const MAX_TOKEN_LENGTH = 16_384;

/** OpenID Connect Core, section 2, allows as many. */
const MAX_SUBJECT_LENGTH = 255;

interface KnownIssuer {
  readonly settings: IssuerSettings;
  readonly keys: IssuerKeys;
}

export interface StoppableExternalTokens extends ExternalTokens {
  /** Gives up what is being fetched. */
  stop(): void;
}

/**
 * No request goes out for a token whose header and claims, signature aside, aren't those of a token that a
 * configured issuer could have made for us and that is good now. `kid` chooses among that issuer's keys;
 * `jwk`, `jku`, `x5c` and `x5u` are never looked at.
 */
export function createExternalTokens(settings: readonly IssuerSettings[], clock: Clock): StoppableExternalTokens {
  const issuers = new Map<unknown, KnownIssuer>(
    settings.map((one) => [one.issuer, { settings: one, keys: new IssuerKeys(one, clock) }]),
  );
  return {
    async verify(token) {
      const issuer = issuers.size === 0 ? undefined : findIssuer(issuers, token, clock());
      return issuer === undefined ? undefined : verifyBy(issuer, token, clock());
    },
    stop() {
      for (const { keys } of issuers.values()) keys.stop();
    },
  };
}

/** The issuer whose token this seems to be, by all that can be told without its keys. */
function findIssuer(issuers: ReadonlyMap<unknown, KnownIssuer>, token: string, nowMs: number): KnownIssuer | undefined {
  if (token.length > MAX_TOKEN_LENGTH || token.split(".").length !== 3) return undefined;
  try {
    const claims = decodeJwt(token);
    const issuer = issuers.get(claims.iss);
    if (issuer === undefined) return undefined;
    const { alg, typ, crit } = decodeProtectedHeader(token);
    const { settings } = issuer;
    const isOurs =
      (settings.algorithms as readonly unknown[]).includes(alg) &&
      crit === undefined &&
      isType(settings, typ) &&
      [claims.aud].flat().some((audience) => audience !== undefined && settings.audiences.includes(audience)) &&
      isTimely(claims, nowMs);
    return isOurs ? issuer : undefined;
  } catch {
    return undefined;
  }
}

/** `typ` is a media type without the need for its `application/` (RFC 7515, section 4.1.9). */
function isType({ tokenType }: IssuerSettings, typ: unknown): boolean {
  if (typ === undefined) return tokenType === "jwt";
  if (typeof typ !== "string") return false;
  return typ.toLowerCase().replace(/^application\//, "") === tokenType;
}

function isTimely({ exp = 0, nbf = 0 }: JWTPayload, nowMs: number): boolean {
  const nowS = Math.floor(nowMs / 1000);
  return exp > nowS - CLOCK_TOLERANCE_S && nbf <= nowS + CLOCK_TOLERANCE_S;
}

async function verifyBy(
  { settings, keys }: KnownIssuer,
  token: string,
  nowMs: number,
): Promise<ExternalClaims | undefined> {
  const options: JWTVerifyOptions = {
    algorithms: [...settings.algorithms],
    issuer: settings.issuer,
    audience: [...settings.audiences],
    currentDate: new Date(nowMs),
    clockTolerance: CLOCK_TOLERANCE_S,
    // Looks at `iat` too, which must not be in the future.
    maxTokenAge: settings.maxAgeSeconds,
    requiredClaims: ["exp", "sub"],
    ...(settings.tokenType === "at+jwt" ? { typ: "at+jwt" } : {}),
  };
  try {
    const { payload } = await jwtVerify(
      token,
      async (header) => (await keys.find(header)) ?? Promise.reject(new errors.JWKSNoMatchingKey()),
      options,
    );
    return readClaims(settings, payload);
  } catch (cause) {
    if (cause instanceof KeysUnavailable) {
      throw new AppError("unavailable", "The access token's issuer can't be asked for its keys; try again later.", {
        cause,
      });
    }
    // Whatever is wrong with it, nobody is told what.
    return undefined;
  }
}

function readClaims(settings: IssuerSettings, payload: JWTPayload): ExternalClaims | undefined {
  const { sub } = payload;
  // It goes into logs and events, as it is.
  if (typeof sub !== "string" || sub.length > MAX_SUBJECT_LENGTH || !/^[\x20-\x7e]+$/.test(sub)) return undefined;
  return {
    issuer: settings.name,
    subject: sub,
    organizationId: organizationIn(settings, payload),
    role: roleIn(settings, payload),
  };
}

function organizationIn({ organization }: IssuerSettings, payload: JWTPayload): ExternalClaims["organizationId"] {
  if (organization.kind === "fixed") return organization.id;
  // Of several organizations none is the one that is meant.
  const [value, ...others] = valuesAt(payload, organization.claim);
  if (value === undefined || others.length > 0) return undefined;
  if (organization.ids !== undefined) {
    return Object.hasOwn(organization.ids, value) ? organization.ids[value] : undefined;
  }
  const id = fromPublicId("org", value);
  return id === SYSTEM_ORGANIZATION_ID ? undefined : id;
}

/** The highest of those that the claim gives. */
function roleIn({ role }: IssuerSettings, payload: JWTPayload): ExternalClaims["role"] {
  if (role.kind === "fixed") return role.role;
  const given = valuesAt(payload, role.claim).flatMap((value) =>
    Object.hasOwn(role.roles, value) ? (role.roles[value] ?? []) : [],
  );
  return ROLES.find((one) => given.includes(one)) ?? role.fallback;
}

/** The texts at a place in the claims: one, or those of a list. */
function valuesAt(payload: JWTPayload, path: ClaimPath): readonly string[] {
  let value: unknown = payload;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return [];
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return (Array.isArray(value) ? value : [value]).filter((one) => typeof one === "string");
}
