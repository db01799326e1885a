/** The key that signs checkpoints. It comes from the root key alone, so an old database put back can't bring an old one. */
import { createPrivateKey, createPublicKey, hash, sign } from "node:crypto";
import type { NoteSigner } from "../domain/signed-note.ts";
import type { Sealer } from "./sealer.ts";

const PURPOSE = "checkpoint signing key";
const NO_CONTEXT = new Uint8Array(0);

/** What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_KEY_BYTES = 32;

/** @param origin names the log and its key; undefined names them after the public key */
export function createCheckpointSigner(sealer: Sealer, origin: string | undefined): NoteSigner {
  const seed = sealer.deriveKey(PURPOSE, NO_CONTEXT);
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-PUBLIC_KEY_BYTES);
  const name = origin ?? `latchkey/${hash("sha256", publicKey).slice(0, 16)}`;
  return { key: { name, publicKey }, sign: (bytes) => sign(null, bytes, privateKey) };
}
