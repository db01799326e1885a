/**
 * Access tokens as JSON Web Tokens (RFC 9068): Ed25519 by a key that the service makes and keeps, or
 * HS256 by a shared secret.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { jwtVerify, SignJWT } from "jose";
import type { AccessTokenAlgorithm, AccessTokens, PublicKey } from "../domain/access-tokens.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { SigningKey } from "../domain/entities.ts";
import { fromPublicId, toPublicId, uuidV7 } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";
import type { Sealer } from "./sealer.ts";

const TYPE = "at+jwt";
const AUDIENCE = "latchkey-api";
const LIFETIME_S = 3600;

/** A new key is published so long before it signs, and whoever verifies may keep the keys for as long. */
export const KEY_LEAD_MS = 15 * 60_000;

/** Others may have renewed the keys, so they are read again after so long: well before a new one signs. */
const KEYS_KEPT_MS = 5 * 60_000;

/** Clocks of those who verify may be wrong by as much. */
const KEY_SLACK_MS = 3_600_000;

/** So far ahead of ours may the clock of the process be that issued a token. */
const ISSUER_SLACK_S = 60;

const SEALING_PURPOSE = "access token signing key";

export interface AccessTokenDeps {
  readonly storage: Storage;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly issuer: string;
  readonly algorithm: AccessTokenAlgorithm;
  /** How long a key is the newest one; undefined is forever. */
  readonly keyLifetimeMs: number | undefined;
}

interface KeyRing {
  /** The key that signs at a moment. */
  signing(nowMs: number): { readonly id: string; readonly key: KeyObject | Uint8Array };
  verifying(id: string): KeyObject | Uint8Array | undefined;
  readonly publicKeys: readonly PublicKey[];
}

/** @throws Error when the stored signing key doesn't open: the root key isn't the one it was sealed under. */
export async function createAccessTokens(deps: AccessTokenDeps): Promise<AccessTokens> {
  const { clock, entropy, issuer } = deps;
  const algorithm = deps.algorithm.name;
  const shared = deps.algorithm.name === "HS256" ? sharedSecretRing(deps.algorithm.secret) : undefined;
  let known = shared ?? ed25519Ring(deps, await ensureKeys(deps));
  let readAtMs = clock();
  let reading: Promise<KeyRing> | undefined;
  const use = async (keys: Promise<readonly SigningKey[]>): Promise<KeyRing> => {
    const askedAtMs = clock();
    known = ed25519Ring(deps, await keys);
    readAtMs = askedAtMs;
    return known;
  };
  const current = (): KeyRing | Promise<KeyRing> => {
    // A clock that is set back must not keep them.
    if (shared !== undefined || Math.abs(clock() - readAtMs) < KEYS_KEPT_MS) return known;
    reading ??= use(deps.storage.listSigningKeys()).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  return {
    publicKeys: () => known.publicKeys,
    async renew() {
      if (shared === undefined) await use(renewKeys(deps));
    },
    async issue({ userId, organizationId, sessionId }) {
      const ring = await current();
      const issuedAt = Math.floor(clock() / 1000);
      const signing = ring.signing(clock());
      const token = await new SignJWT({ org: toPublicId("org", organizationId), sid: sessionId })
        .setProtectedHeader({ alg: algorithm, typ: TYPE, kid: signing.id })
        .setIssuer(issuer)
        .setAudience(AUDIENCE)
        .setSubject(toPublicId("usr", userId))
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + LIFETIME_S)
        .setJti(uuidV7(clock(), entropy(10)))
        .sign(signing.key);
      return { token, expiresAt: new Date((issuedAt + LIFETIME_S) * 1000) };
    },
    async verify(token) {
      const ring = await current();
      try {
        const { payload } = await jwtVerify(
          token,
          // `kid` only chooses among our own keys; `jwk`, `jku` and `x5u` are never looked at.
          ({ kid }) => ring.verifying(kid ?? "") ?? Promise.reject(new Error("unknown key")),
          {
            algorithms: [algorithm],
            typ: TYPE,
            issuer,
            audience: AUDIENCE,
            currentDate: new Date(clock()),
            requiredClaims: ["exp", "iat", "sub", "org", "sid"],
          },
        );
        if ((payload.iat ?? 0) > clock() / 1000 + ISSUER_SLACK_S) return undefined;
        const userId = fromPublicId("usr", payload.sub ?? "");
        const organizationId = fromPublicId("org", String(payload["org"]));
        if (userId === undefined || organizationId === undefined) return undefined;
        return { userId, organizationId, sessionId: String(payload["sid"]) };
      } catch {
        // Whatever is wrong with it, it isn't a token of ours, and nobody is told why.
        return undefined;
      }
    },
  };
}

/** Whether the root key behind the sealer is the one that these keys were sealed under. */
export function opensSigningKeys(sealer: Sealer, keys: readonly SigningKey[]): boolean {
  try {
    for (const { sealedPrivateKey } of keys) sealer.open(SEALING_PURPOSE, sealedPrivateKey);
    return true;
  } catch {
    return false;
  }
}

function sharedSecretRing(secret: string): KeyRing {
  const key = Buffer.from(secret);
  return {
    signing: () => ({ id: "shared", key }),
    verifying: (id) => (id === "shared" ? key : undefined),
    publicKeys: [],
  };
}

/** All keys verify. The newest one signs that was published long enough ago, or else the oldest. */
function ed25519Ring({ sealer }: Pick<AccessTokenDeps, "sealer">, stored: readonly SigningKey[]): KeyRing {
  const keys = stored.map(({ id, sealedPrivateKey, createdAt }) => {
    const der = Buffer.from(sealer.open(SEALING_PURPOSE, sealedPrivateKey));
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    return { id, key, publicKey: createPublicKey(key), signsFromMs: createdAt.getTime() + KEY_LEAD_MS };
  });
  const byId = new Map(keys.map(({ id, publicKey }) => [id, publicKey]));
  return {
    signing(nowMs) {
      const signing = keys.findLast(({ signsFromMs }) => signsFromMs <= nowMs) ?? keys[0];
      if (signing === undefined) throw new Error("the store kept no signing key");
      return signing;
    },
    verifying: (id) => byId.get(id),
    publicKeys: keys.map(({ id, publicKey }) => {
      const { x = "" } = publicKey.export({ format: "jwk" });
      return { kty: "OKP", crv: "Ed25519", x, kid: id, use: "sig", alg: "EdDSA" };
    }),
  };
}

async function ensureKeys(deps: AccessTokenDeps): Promise<readonly SigningKey[]> {
  const stored = await deps.storage.listSigningKeys();
  return stored.length > 0 ? stored : deps.storage.ensureSigningKey(await newKey(deps));
}

async function renewKeys(deps: AccessTokenDeps): Promise<readonly SigningKey[]> {
  const { storage, clock, keyLifetimeMs } = deps;
  const stored = await ensureKeys(deps);
  const newest = stored.at(-1);
  const isOld =
    keyLifetimeMs !== undefined && newest !== undefined && newest.createdAt.getTime() + keyLifetimeMs <= clock();
  if (isOld) await storage.replaceSigningKey(newest.id, await newKey(deps));
  // What a key signed last has expired so long after its successor began to sign.
  const doneBefore = new Date(clock() - KEY_LEAD_MS - LIFETIME_S * 1000 - KEY_SLACK_MS);
  const keys = await storage.listSigningKeys();
  if (!keys.slice(1).some(({ createdAt }) => createdAt < doneBefore)) return keys;
  await storage.deleteSigningKeys(doneBefore);
  return storage.listSigningKeys();
}

async function newKey({ sealer, clock, entropy }: AccessTokenDeps): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)("ed25519");
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  return {
    id: uuidV7(clock(), entropy(10)),
    sealedPrivateKey: sealer.seal(SEALING_PURPOSE, der),
    createdAt: new Date(clock()),
  };
}
