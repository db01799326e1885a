/** Imports through every door of the service, and keys such as other systems make them. */
import { createHash, createHmac } from "node:crypto";
import { create, fromJson, type JsonValue, type MessageInitShape, type MessageShape, toJson } from "@bufbuild/protobuf";
import { DigestAlgorithm, DigestEncoding, ImportRequestSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { App } from "../../src/app.ts";
import { type Credential, type Outcome, openSurface, type SurfaceName } from "./surfaces.ts";

const method = TokenService.method.import;

export type ImportRequest = MessageInitShape<typeof method.input>;
export type ImportResponse = MessageShape<typeof method.output>;

/** Imports through one door. */
export async function importThrough(
  app: App,
  name: SurfaceName,
  credential: Credential,
  request: ImportRequest,
): Promise<Outcome<ImportResponse>> {
  if (name === "rest") {
    const { idempotencyKey: key, ...message } = create(ImportRequestSchema, request);
    return importByRest(app, credential, key, toJson(ImportRequestSchema, { ...message, idempotencyKey: "" }));
  }
  const surface = openSurface(app, name);
  try {
    return await surface.invoke(method, request, credential);
  } finally {
    surface.close();
  }
}

/** Imports over REST, from any JSON. */
export async function importByRest(
  app: App,
  { bearer, apiKey }: Credential,
  key: string,
  body: JsonValue,
): Promise<Outcome<ImportResponse>> {
  const response = await fetch(`http://${app.httpAddress}/api/v1/api-tokens/import`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(apiKey === undefined ? {} : { "x-api-key": apiKey }),
      ...(key === "" ? {} : { "idempotency-key": key }),
    },
    body: JSON.stringify(body),
  });
  const json = (await response.json()) as JsonValue;
  if (response.ok) return { ok: true, value: fromJson(method.output, json) };
  const { code, message } = (json as unknown as { error: { code: string; message: string } }).error;
  return { ok: false, code, message };
}

/** Keys in the formats of other systems. Each call makes new ones. */
export function foreignKeys(): readonly string[] {
  const random = (): string => createHash("sha256").update(crypto.randomUUID()).digest("hex");
  return [
    `sk_live_${random().slice(0, 24)}`,
    crypto.randomUUID(),
    Buffer.from(random(), "hex").toString("base64"),
    `xoxb-${random().slice(0, 12)}-${random().slice(0, 24)}`,
    `AKIA${random().slice(0, 16).toUpperCase()}`,
    `SG.${random().slice(0, 22)}.${random().slice(0, 43)}`,
    // Looks like an access token of ours.
    [{ alg: "EdDSA", typ: "at+jwt" }, { sub: random() }].map(jsonPart).join(".").concat(`.${random()}`),
    // Starts like a token of ours.
    `wp_${random()}`,
    random().slice(0, 16),
    random().repeat(8),
  ];
}

const jsonPart = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");

/** How other systems may digest and write: each way, and the fields that say so. */
export const WAYS = [
  { algorithm: DigestAlgorithm.SHA256, digest: (key: string) => createHash("sha256").update(key).digest() },
  { algorithm: DigestAlgorithm.SHA512, digest: (key: string) => createHash("sha512").update(key).digest() },
  {
    algorithm: DigestAlgorithm.HMAC_SHA256,
    digest: (key: string, hmacKey: Uint8Array) => createHmac("sha256", hmacKey).update(key).digest(),
  },
].flatMap(({ algorithm, digest }) =>
  [
    { encoding: DigestEncoding.HEX, write: (bytes: Buffer) => bytes.toString("hex") },
    { encoding: DigestEncoding.HEX, write: (bytes: Buffer) => bytes.toString("hex").toUpperCase() },
    { encoding: DigestEncoding.BASE64, write: (bytes: Buffer) => bytes.toString("base64") },
    { encoding: DigestEncoding.BASE64, write: (bytes: Buffer) => bytes.toString("base64url") },
  ].map(({ encoding, write }) => ({
    digestAlgorithm: algorithm,
    digestEncoding: encoding,
    write: (key: string, hmacKey: Uint8Array) => write(digest(key, hmacKey)),
  })),
);
