/** `latchkey import`: brings in keys that another system made, from a file of JSON Lines. */
import { hash } from "node:crypto";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { create, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  DigestAlgorithm,
  DigestEncoding,
  type ImportedToken,
  ImportedTokenSchema,
  ImportRequestSchema,
  type ImportResult,
  ImportStatus,
  TokenService,
} from "../../gen/latchkey/v1/token_pb.ts";
import { command, UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { CLIENT_OPTIONS } from "./service-call.ts";

const ALGORITHMS = new Map([
  ["sha256", DigestAlgorithm.SHA256],
  ["sha512", DigestAlgorithm.SHA512],
  ["hmac-sha256", DigestAlgorithm.HMAC_SHA256],
]);

const ENCODINGS = new Map([
  ["hex", DigestEncoding.HEX],
  ["base64", DigestEncoding.BASE64],
]);

/** A call takes so many rows, and 2 MiB; some are left for what stands around the rows. */
const MAX_ROWS = 1_000;
const MAX_ROW_BYTES = 2_000_000;

const TIMEOUT_MS = 30_000;

/** One line of the file. */
interface Row {
  readonly line: number;
  readonly token: ImportedToken;
}

type Fail = (line: number, fault: string) => void;

export const importKeys = command({
  args: ["FILE|-"],
  options: {
    ...CLIENT_OPTIONS,
    org: {
      type: "string",
      value: "ORG",
      default: "",
      help: "the organization; needed with a service key of all of them",
    },
    algorithm: {
      type: "string",
      value: "NAME",
      choices: [...ALGORITHMS.keys()],
      help: `how digests were made: ${[...ALGORITHMS.keys()].join(", ")}`,
    },
    encoding: {
      type: "string",
      value: "NAME",
      choices: [...ENCODINGS.keys()],
      help: `how they are written: ${[...ENCODINGS.keys()].join(", ")}`,
    },
    "hmac-key-env": {
      type: "string",
      value: "NAME",
      help: "the variable with the key of hmac-sha256: as it is, or after `hex:` or `base64:`",
    },
  },
  notes: [
    "Each line of the file is a JSON object with a `name` and either a `plaintext` or a `digest`; its fields are",
    "those of ImportedToken in proto/latchkey/v1/token.proto. What fails is printed by line, and the exit code is 1.",
    "Importing a file again within 24 h changes nothing and prints the same; to try lines again that failed, put them",
    "in a file of their own.",
  ].join("\n"),
  async run(values, positionals, { call }) {
    const [path = ""] = positionals;
    const common = {
      organizationId: values.org,
      digestAlgorithm: ALGORITHMS.get(values.algorithm ?? "") ?? DigestAlgorithm.UNSPECIFIED,
      digestEncoding: ENCODINGS.get(values.encoding ?? "") ?? DigestEncoding.UNSPECIFIED,
    };
    const hmacKey = values["hmac-key-env"] === undefined ? undefined : readKey(values["hmac-key-env"]);
    let imported = 0;
    let failed = 0;
    const fail: Fail = (line, fault) => {
      failed++;
      console.log(`line ${line}: ${fault}`);
    };
    await call(TokenService, async (client) => {
      for await (const rows of batches(path, fail)) {
        const request = { ...common, tokens: rows.map(({ token }) => token) };
        const { results } = await client.import(
          repeatable(hmacKey !== undefined && takesKey(request) ? { ...request, hmacKey } : request),
          { timeoutMs: TIMEOUT_MS },
        );
        for (const [index, { line }] of rows.entries()) {
          const fault = faultOf(results[index], index);
          if (fault === undefined) imported++;
          else fail(line, fault);
        }
        if (process.stderr.isTTY) {
          console.error(`line ${rows.at(-1)?.line}: imported ${imported}, failed ${failed} so far`);
        }
      }
    });
    console.error(`imported ${imported}, failed ${failed}`);
    return failed === 0 ? 0 : 1;
  },
});

/** The file's rows, as many at a time as a call takes. Lines that are none are told to `fail`. */
async function* batches(path: string, fail: Fail): AsyncGenerator<readonly Row[]> {
  let rows: Row[] = [];
  let bytes = 0;
  let line = 0;
  for await (const text of linesOf(path)) {
    line++;
    if (text.trim() === "") continue;
    const token = parseRow(text);
    if (typeof token === "string") {
      fail(line, token);
      continue;
    }
    const size = toBinary(ImportedTokenSchema, token).length;
    if (rows.length === MAX_ROWS || (rows.length > 0 && bytes + size > MAX_ROW_BYTES)) {
      yield rows;
      [rows, bytes] = [[], 0];
    }
    rows.push({ line, token });
    bytes += size;
  }
  if (rows.length > 0) yield rows;
}

async function* linesOf(path: string): AsyncGenerator<string> {
  try {
    if (path === "-") return yield* createInterface({ input: process.stdin });
    await using file = await open(path);
    yield* file.readLines();
  } catch (error) {
    throw new CommandError(`${path} can't be read: ${(error as Error).message}`);
  }
}

/** The row, or what is wrong with it. Nothing of the line is quoted, for it may be a key. */
function parseRow(text: string): ImportedToken | string {
  let json: JsonValue;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, "")) as JsonValue;
  } catch {
    return "is not JSON";
  }
  try {
    return fromJson(ImportedTokenSchema, json);
  } catch {
    const named = (name: string): boolean =>
      ImportedTokenSchema.fields.some((field) => field.name === name || field.jsonName === name);
    const unknown = Object.keys(json ?? {}).find((name) => !named(name) && /^[A-Za-z_]{1,30}$/.test(name));
    return unknown === undefined ? "has a value of the wrong type" : `has ${unknown}, which is not a field`;
  }
}

function takesKey({ tokens, digestAlgorithm }: { tokens: readonly ImportedToken[]; digestAlgorithm: DigestAlgorithm }) {
  return tokens.some(
    (token) => token.digest !== "" && (token.digestAlgorithm || digestAlgorithm) === DigestAlgorithm.HMAC_SHA256,
  );
}

/** The same request always has the same key. */
function repeatable(request: MessageInitShape<typeof ImportRequestSchema>) {
  const bytes = toBinary(ImportRequestSchema, create(ImportRequestSchema, request));
  return { ...request, idempotencyKey: `latchkey-import-${hash("sha256", bytes)}` };
}

/** Why a row was not imported; undefined for one that was. */
function faultOf(result: ImportResult | undefined, index: number): string | undefined {
  if (result?.status === ImportStatus.IMPORTED) return undefined;
  if (result?.status === ImportStatus.ALREADY_EXISTS) return "the key is known already";
  const faults = result?.faults ?? [];
  // Lines of the file mean more here than places in a call.
  return faults
    .map(({ field, description }) => {
      const name = field.slice(`tokens[${index}].`.length);
      return name === "" ? description : `${name}: ${description}`;
    })
    .join("; ");
}

/** The key in an environment variable: an argument would be seen by every user of the machine. */
function readKey(name: string): Uint8Array {
  const text = process.env[name] ?? "";
  if (text === "") throw new UsageError(`--hmac-key-env must name a variable that is set; ${name} is not`);
  const [, encoding, digits = ""] = /^(hex|base64):(.*)$/s.exec(text) ?? [];
  if (encoding === undefined) return Buffer.from(text);
  const key = Buffer.from(digits, encoding as BufferEncoding);
  // Node passes over what it can't read, and another key would make every digest another one.
  const isWhole = unpadded(key.toString(encoding as BufferEncoding)) === unpadded(digits);
  if (key.length === 0 || !isWhole) throw new UsageError(`${name} must hold ${encoding} after \`${encoding}:\``);
  return key;
}

function unpadded(text: string): string {
  return text.replace(/=+$/, "");
}
