/** Tokens of every product, those of a company's own profiles among them: their text, and the addresses that they are for. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { fingerprint } from "../../src/domain/fingerprint.ts";
import { generateSecret, isWellFormed, secretLength } from "../../src/domain/secret-format.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { DAY, type ProductService, startProducts, type Tenant } from "../helpers/products.ts";

/** Two more products: the shortest tokens that a profile may have, and long ones with a long prefix. */
const OWN: Readonly<Record<string, object>> = {
  zebra: { prefix: "z_", alphabet: "hex", random: 32 },
  quokka: { prefix: "quokka_live_", alphabet: "base62", random: 200 },
};

const ownProfile = (id: string, secret: object): object => ({
  id,
  secret,
  credentials: ["x-api-key"],
  base_paths: ["/api/v1"],
  access: "full",
  expiry: "never",
  managers: { any: ["owner"] },
  plans: { standard: {} },
  token: { id: "{id}" },
  responses: {
    issue: { body: { id: "{id}", token: "{secret}" } },
    token: { body: "{token}" },
    list: { body: "{tokens}" },
    revoke: { body: {} },
    login: { body: { access: "{access_token}" } },
    refresh: { body: { access: "{access_token}" } },
  },
  errors: { body: { error: "{message}" } },
});

const IDS = ["latchkey", "plane", "quokka", "walwarden", "watchmantower", "watchplane", "zebra"] as const;
const ISSUED = IDS.filter((id) => id !== "latchkey");

let folder: string;
let service: ProductService;
/** A token of each profile, which works. */
const secrets = new Map<string, string>();
/** Fingerprints that the store was asked for. */
let lookedUp: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latchkey-formats-"));
  for (const [id, secret] of Object.entries(OWN)) {
    await writeFile(join(folder, `${id}.json`), JSON.stringify(ownProfile(id, secret)));
  }
  service = await startProducts({
    env: { LATCHKEY_PROFILES_DIR: folder },
    surroundings: { aroundStorage: noteLookUps },
  });
  secrets.set("latchkey", service.test.credentials.serviceKey);
  for (const profile of ISSUED) {
    const { organization } = await service.organizations.create({ name: profile, profile });
    const permission = profile === "watchmantower" ? "full" : "";
    const request = { organizationId: organization!.id, name: profile, permission, idempotencyKey: profile };
    secrets.set(profile, (await service.tokens.issue(request)).secret);
  }
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function noteLookUps(storage: Storage): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
      if (property !== "findTokenByFingerprint") return method;
      return (sought: Uint8Array) => {
        lookedUp.push(Buffer.from(sought).toString("hex"));
        return method(sought);
      };
    },
  });
}

/** Fingerprints of others than the backend's own key that were looked up since the last time. */
function foreignLookUps(): readonly string[] {
  const own = Buffer.from(fingerprint(service.test.credentials.serviceKey)).toString("hex");
  const found = lookedUp.filter((one) => one !== own);
  lookedUp = [];
  return found;
}

const PRINTABLE = Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index));

/** Every text that is one printable character away: replaced, put in, left out, or changed places with the next. */
function* edits(secret: string): Generator<string> {
  for (let place = 0; place <= secret.length; place++) {
    const [before, at, after] = [secret.slice(0, place), secret.charAt(place), secret.slice(place + 1)];
    for (const character of PRINTABLE) {
      yield before + character + at + after;
      if (at !== "" && character !== at) yield before + character + after;
    }
    if (at === "") continue;
    yield before + after;
    const next = after.charAt(0);
    if (next !== "" && next !== at) yield before + next + at + after.slice(1);
  }
}

describe("tokens", { timeout: 120_000 }, () => {
  const profiles = () => loadProfiles(folder);

  it("are known again as their own profile's and nobody else's, in 1,000 rounds for each", () => {
    const all = profiles().all;
    expect(all.map(({ id }) => id).toSorted()).toEqual(IDS);
    const entropy = (size: number): Uint8Array => randomBytes(size);
    fc.assert(
      fc.property(fc.constantFrom(...all), ({ id, secretFormat }) => {
        const secret = generateSecret(secretFormat, entropy);
        expect(secret.startsWith(secretFormat.prefix)).toBe(true);
        expect(secret).toHaveLength(secretLength(secretFormat));
        expect(profiles().ofSecret(secret)?.id).toBe(id);
        for (const other of all) expect(isWellFormed(other.secretFormat, secret)).toBe(other.id === id);
      }),
      { numRuns: 50 },
    );
    const loaded = profiles();
    for (const { id, secretFormat } of all) {
      const seen = new Set<string>();
      for (let round = 0; round < 1000; round++) {
        const secret = generateSecret(secretFormat, entropy);
        seen.add(secret);
        expect(loaded.ofSecret(secret)?.id).toBe(id);
        expect(loaded.ofPrefix(secret)?.id).toBe(id);
      }
      expect(seen.size).toBe(1000);
    }
  });

  it("of every profile come back from Introspect as what they were issued as", async () => {
    for (const id of ISSUED) {
      const judgement = await service.introspect({ token: secrets.get(id)!, dryRun: true });
      expect(judgement).toMatchObject({ active: true, allowed: true, profile: id, name: id });
    }
    expect(new Set(foreignLookUps()).size).toBe(ISSUED.length);
  });

  it.each(IDS)("of %s are refused after every edit of one character, and never looked up", async (id) => {
    const secret = secrets.get(id)!;
    const texts = [...new Set(edits(secret))].filter((text) => text !== secret);
    expect(texts.length).toBeGreaterThan(secret.length * 150);
    foreignLookUps();
    for (let start = 0; start < texts.length; start += 1000) {
      const requests = texts.slice(start, start + 1000).map((token) => ({ token }));
      const { responses } = await service.introspection.batchIntrospect({ requests }, { timeoutMs: 60_000 });
      for (const [index, { active, reason }] of responses.entries()) {
        expect({ token: requests[index]?.token, active, reason }).toEqual({
          token: requests[index]?.token,
          active: false,
          reason: Reason.MALFORMED,
        });
      }
    }
    expect(foreignLookUps()).toEqual([]);
  });

  it.each(IDS)("of %s, new ones each time, are refused with any character of Unicode in any place", async (id) => {
    const { entropy } = service.test.app.deployment;
    const { secretFormat } = service.test.app.deployment.profiles.get(id)!;
    foreignLookUps();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1, noNaN: true }),
            fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
          ),
          {
            minLength: 50,
            maxLength: 100,
          },
        ),
        async (changes) => {
          const requests = changes.flatMap(([part, character]) => {
            const secret = generateSecret(secretFormat, entropy);
            const place = Math.min(secret.length - 1, Math.floor(part * secret.length));
            const [before, after] = [secret.slice(0, place), secret.slice(place)];
            return [before + character + after.slice(1), before + character + after]
              .filter((text) => text !== secret)
              .map((token) => ({ token: token.toWellFormed() }));
          });
          const { responses } = await service.introspection.batchIntrospect({ requests });
          for (const { active, reason } of responses) {
            expect({ active, reason }).toEqual({ active: false, reason: Reason.MALFORMED });
          }
        },
      ),
      { numRuns: 20 },
    );
    expect(foreignLookUps()).toEqual([]);
  });

  it("that were edited are refused by the public port too, without a look-up", async () => {
    for (const id of ["watchplane", "watchmantower", "plane", "zebra", "quokka"]) {
      const secret = secrets.get(id)!;
      lookedUp = [];
      const random = fc.sample(fc.nat({ max: secret.length - 1 }), 40);
      for (const place of random) {
        const other = secret.charAt(place) === "0" ? "1" : "0";
        const edited = secret.slice(0, place) + other + secret.slice(place + 1);
        const refused = await service.call("GET", "/api/v1/api-tokens/self", { headers: { "x-api-key": edited } });
        expect(refused.status).toBe(401);
      }
      expect(lookedUp).toEqual([]);
      const basePath = id === "watchmantower" ? "/public/v1" : "/api/v1";
      const works = await service.call("GET", `${basePath}/api-tokens/self`, { headers: { "x-api-key": secret } });
      expect(works.status).toBe(200);
      expect(lookedUp).toHaveLength(1);
    }
  });
});

/** The bits of an address, worked out apart from the code under test. An IPv4-mapped address is the IPv4 address. */
function bitsOf(bytes: readonly number[]): { readonly family: 4 | 6; readonly bits: string } {
  const isMapped =
    bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  const own = isMapped ? bytes.slice(12) : bytes;
  return { family: own.length === 4 ? 4 : 6, bits: own.map((byte) => byte.toString(2).padStart(8, "0")).join("") };
}

const text4 = (bytes: readonly number[]): string => bytes.join(".");
const text6 = (bytes: readonly number[]): string =>
  Array.from({ length: 8 }, (_, group) => ((bytes[2 * group]! << 8) | bytes[2 * group + 1]!).toString(16)).join(":");
const textOf = (bytes: readonly number[]): string => (bytes.length === 4 ? text4(bytes) : text6(bytes));
const mapped = (bytes: readonly number[]): number[] => [...Array<number>(10).fill(0), 255, 255, ...bytes];

interface Block {
  readonly bytes: readonly number[];
  /** Bits that count; undefined for a single address. */
  readonly length: number | undefined;
}

const blockText = ({ bytes, length }: Block): string => textOf(bytes) + (length === undefined ? "" : `/${length}`);

function holds({ bytes, length }: Block, address: readonly number[]): boolean {
  const [outer, inner] = [bitsOf(bytes), bitsOf(address)];
  if (outer.family !== inner.family) return false;
  const wasMapped = bytes.length === 16 && outer.family === 4;
  const counting = length === undefined ? outer.bits.length : length - (wasMapped ? 96 : 0);
  return outer.bits.slice(0, counting) === inner.bits.slice(0, counting);
}

const ipv4 = fc.array(fc.nat({ max: 255 }), { minLength: 4, maxLength: 4 });
const ipv6 = fc.array(fc.nat({ max: 255 }), { minLength: 16, maxLength: 16 });
const address = fc.oneof(ipv4, ipv6, ipv4.map(mapped));
const block: fc.Arbitrary<Block> = address.chain((bytes) => {
  const least = bitsOf(bytes).family === 4 && bytes.length === 16 ? 96 : 0;
  const length = fc.option(fc.integer({ min: least, max: bytes.length * 8 }), { nil: undefined });
  return fc.record({ bytes: fc.constant(bytes), length });
});

/** The address with its last bits changed: near to the block that it was made of. */
const near = (bytes: readonly number[], keep: number, other: readonly number[]): number[] =>
  bytes.map((byte, index) => {
    const kept = Math.max(0, Math.min(8, keep - index * 8));
    const mask = (0xff << (8 - kept)) & 0xff;
    return (byte & mask) | (other[index]! & ~mask & 0xff);
  });

describe("addresses", { timeout: 120_000 }, () => {
  let tenant: Tenant;

  beforeAll(async () => {
    tenant = await service.addTenant("watchmantower", "enterprise");
  });

  const issueFor = (ipWhitelist: string[]) => tenant.issue({ ipWhitelist });

  it("are matched by Introspect as a reference matches bits, for 10,000 pairs of list and address", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(block, { minLength: 1, maxLength: 4, selector: blockText }),
        fc.array(fc.tuple(address, fc.nat({ max: 128 }), ipv6, fc.nat({ max: 3 }), fc.boolean()), {
          minLength: 100,
          maxLength: 100,
        }),
        async (blocks, tries) => {
          const { secret } = await issueFor(blocks.map(blockText));
          const addresses = tries.map(([random, keep, other, which, isNear]) => {
            const { bytes } = blocks[which % blocks.length]!;
            return isNear ? near(bytes, keep, other) : random;
          });
          const requests = addresses.map((one) => ({ token: secret, clientIp: textOf(one), dryRun: true }));
          const { responses } = await service.introspection.batchIntrospect({ requests });
          for (const [index, { active, allowed, reason }] of responses.entries()) {
            const expected = blocks.some((one) => holds(one, addresses[index]!));
            expect({ at: requests[index]?.clientIp, active, allowed, reason }).toEqual({
              at: requests[index]?.clientIp,
              active: true,
              allowed: expected,
              reason: expected ? Reason.UNSPECIFIED : Reason.IP_NOT_ALLOWED,
            });
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it("that nobody tells are on no list, and any will do without a list", async () => {
    const { secret } = await issueFor(["0.0.0.0/0", "::/0"]);
    expect(await service.introspect({ token: secret })).toMatchObject({
      active: true,
      allowed: false,
      reason: Reason.IP_NOT_ALLOWED,
    });
    for (const clientIp of ["192.0.2.1", "::1", "::ffff:192.0.2.1"]) {
      expect(await service.introspect({ token: secret, clientIp })).toMatchObject({ allowed: true });
    }
    const anywhere = await tenant.issue();
    for (const clientIp of ["", "192.0.2.1"]) {
      expect(await service.introspect({ token: anywhere.secret, clientIp })).toMatchObject({ allowed: true });
    }
  });

  it("are no proof: a token on its address is still revoked", async () => {
    const { id, secret } = await issueFor(["192.0.2.1"]);
    await tenant.revoke(id);
    service.clock.advance(DAY);
    expect(await service.introspect({ token: secret, clientIp: "192.0.2.1" })).toMatchObject({
      active: false,
      reason: Reason.REVOKED,
    });
  });
});
