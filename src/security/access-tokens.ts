/**
 * Access tokens as JSON Web Tokens (RFC 9068): Ed25519 by a key that the service makes and keeps, or
 * HS256 by a shared secret.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { jwtVerify, SignJWT } from "jose";
import type { AccessTokenAlgorithm, AccessTokens } from "../domain/access-tokens.ts";
import type { Clock, Entropy } from "../domain/clock.ts";
import type { SigningKey } from "../domain/entities.ts";
import { fromPublicId, toPublicId, uuidV7 } from "../domain/ids.ts";
import type { Storage } from "../domain/storage.ts";
import type { Sealer } from "./sealer.ts";

const TYPE = "at+jwt";
const AUDIENCE = "latchkey-api";
const LIFETIME_S = 3600;
const SEALING_PURPOSE = "access token signing key";

export interface AccessTokenDeps {
  readonly storage: Storage;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly issuer: string;
  readonly algorithm: AccessTokenAlgorithm;
}

interface KeyRing {
  readonly signing: { readonly id: string; readonly key: KeyObject | Uint8Array };
  readonly verifying: ReadonlyMap<string, KeyObject | Uint8Array>;
}

/** @throws Error when the stored signing key doesn't open: the root key isn't the one it was sealed under. */
export async function createAccessTokens(deps: AccessTokenDeps): Promise<AccessTokens> {
  const { clock, entropy, issuer } = deps;
  const algorithm = deps.algorithm.name;
  const ring = deps.algorithm.name === "HS256" ? sharedSecretRing(deps.algorithm.secret) : await ed25519Ring(deps);
  return {
    async issue({ userId, organizationId, sessionId }) {
      const issuedAt = Math.floor(clock() / 1000);
      const token = await new SignJWT({ org: toPublicId("org", organizationId), sid: sessionId })
        .setProtectedHeader({ alg: algorithm, typ: TYPE, kid: ring.signing.id })
        .setIssuer(issuer)
        .setAudience(AUDIENCE)
        .setSubject(toPublicId("usr", userId))
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + LIFETIME_S)
        .setJti(uuidV7(clock(), entropy(10)))
        .sign(ring.signing.key);
      return { token, expiresAt: new Date((issuedAt + LIFETIME_S) * 1000) };
    },
    async verify(token) {
      try {
        const { payload } = await jwtVerify(
          token,
          // `kid` only chooses among our own keys; `jwk`, `jku` and `x5u` are never looked at.
          ({ kid }) => ring.verifying.get(kid ?? "") ?? Promise.reject(new Error("unknown key")),
          {
            algorithms: [algorithm],
            typ: TYPE,
            issuer,
            audience: AUDIENCE,
            currentDate: new Date(clock()),
            requiredClaims: ["exp", "iat", "sub", "org", "sid"],
          },
        );
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
  return { signing: { id: "shared", key }, verifying: new Map([["shared", key]]) };
}

async function ed25519Ring({ storage, sealer, clock, entropy }: AccessTokenDeps): Promise<KeyRing> {
  let stored = await storage.listSigningKeys();
  if (stored.length === 0) {
    const { privateKey } = await promisify(generateKeyPair)("ed25519");
    const der = privateKey.export({ format: "der", type: "pkcs8" });
    stored = await storage.ensureSigningKey({
      id: uuidV7(clock(), entropy(10)),
      sealedPrivateKey: sealer.seal(SEALING_PURPOSE, der),
      createdAt: new Date(clock()),
    });
  }
  const keys = stored.map(({ id, sealedPrivateKey }) => {
    const der = Buffer.from(sealer.open(SEALING_PURPOSE, sealedPrivateKey));
    return { id, key: createPrivateKey({ key: der, format: "der", type: "pkcs8" }) };
  });
  const signing = keys.at(-1);
  if (signing === undefined) throw new Error("the store kept no signing key");
  return { signing, verifying: new Map(keys.map(({ id, key }) => [id, createPublicKey(key)])) };
}
