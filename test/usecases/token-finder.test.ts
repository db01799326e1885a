/** What memory knows by the text itself, and what it mustn't be known by. */
import { hash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DigestScheme, digestOf, schemeFingerprint } from "../../src/domain/digest-scheme.ts";
import type { Profile } from "../../src/domain/profile.ts";
import { generateSecret } from "../../src/domain/secret-format.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { createSealer } from "../../src/security/sealer.ts";
import { ChangeLog } from "../../src/usecases/change-log.ts";
import { TokenCache } from "../../src/usecases/token-cache.ts";
import { EncodedText, type FoundToken, TokenFinder } from "../../src/usecases/token-finder.ts";
import { someChange, someOrganization, someToken } from "../contract/samples.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";

const profiles = loadProfiles(undefined);
const sealer = createSealer(randomBytes(32), randomBytes);
const SHA256: DigestScheme = { algorithm: "sha256", keyId: undefined };
const SHA512: DigestScheme = { algorithm: "sha512", keyId: undefined };

const fingerprintOf = (text: string, scheme: DigestScheme): Uint8Array =>
  new Uint8Array(schemeFingerprint(scheme, digestOf(scheme.algorithm, text, new Uint8Array(0))));

const formatOf = (name: string): Profile => profiles.get(name) ?? expect.fail(`there is no profile ${name}`);
const secretOf = (name: string): string => generateSecret(formatOf(name).secretFormat, randomBytes);

function encoded(text: string): EncodedText {
  return new EncodedText(Buffer.from(`before${text}after`), "before".length, "before".length + text.length);
}

async function open() {
  const subject = await openSqliteSubject();
  const { storage } = subject;
  const organizations = new Map<string, string>();
  for (const name of ["watchplane", "walwarden"]) {
    const { id } = await storage.createOrganization(someOrganization({ profile: name }), someChange());
    organizations.set(name, id);
  }
  const made = (text: string, profile: string, scheme: DigestScheme) => ({
    ...someToken({ organizationId: organizations.get(profile) ?? "", profile }),
    fingerprint: fingerprintOf(text, scheme),
  });
  return {
    storage,
    finder: (maxEntries = 1_000) => finderOf(storage, maxEntries),
    async issue(text: string, profile = "watchplane"): Promise<string> {
      return (await storage.createToken(made(text, profile, SHA256), someChange())).id;
    },
    async import(text: string, scheme: DigestScheme, profile = "watchplane"): Promise<string> {
      const [imported] = await storage.importTokens(
        [made(text, profile, scheme)],
        [{ ...scheme, key: undefined }],
        someChange(),
      );
      return imported === undefined || imported === "taken" ? expect.fail("it wasn't imported") : imported.id;
    },
    [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
  };
}

function finderOf(storage: Storage, maxEntries: number): TokenFinder {
  const tokens = new TokenCache(storage, new ChangeLog(storage), { maxEntries, maxBytes: 1e9 });
  return new TokenFinder({ storage, tokens, profiles, sealer, entropy: randomBytes });
}

const find = async (finder: TokenFinder, text: string): Promise<FoundToken | undefined> =>
  finder.find(text, profiles.ofSecret(text));

describe("a text that was found", () => {
  it("is known by itself, as a string and as it lies in a request, until something changes", async () => {
    await using subject = await open();
    const finder = subject.finder();
    const texts = [secretOf("watchplane"), "sk_live_of_another_system"];
    const [native = "", other = ""] = texts;
    const ids = [await subject.issue(native), await subject.import(other, SHA256)];
    for (const text of texts) expect(finder.recall(text)).toBeUndefined();
    const found = [await find(finder, native), await find(finder, other)];
    expect(found.map((one) => one?.token.id)).toEqual(ids);
    expect(found.map((one) => one?.format?.id)).toEqual(["watchplane", undefined]);
    for (const [index, text] of texts.entries()) {
      for (const form of [text, encoded(text)]) expect(finder.recall(form)).toBe(found[index]);
    }
    await subject.storage.revokeToken(ids[0] ?? "", someChange());
    for (const text of texts) expect(finder.recall(text)).toBeUndefined();
    expect((await find(finder, native))?.token.revokedAt).toBeInstanceOf(Date);
    expect(finder.recall(other)).toBe(found[1]);
  });

  it("isn't known any more when its organization has changed, also once memory has caught up with that", async () => {
    await using subject = await open();
    const finder = subject.finder();
    const [text, other] = [secretOf("watchplane"), secretOf("walwarden")];
    await subject.issue(text);
    await subject.issue(other, "walwarden");
    const { organization } = (await find(finder, text)) ?? expect.fail("it isn't found");
    await find(finder, other);
    await subject.storage.setPlan(organization.id, "pro", someChange());
    await find(finder, other);
    expect(finder.recall(other)).toBeDefined();
    expect(finder.recall(text)).toBeUndefined();
    expect((await find(finder, text))?.organization.plan).toBe("pro");
    expect(finder.recall(text)?.organization.plan).toBe("pro");
  });

  it("isn't known by a part of it, by more than it, or where memory is off", async () => {
    await using subject = await open();
    const [finder, off] = [subject.finder(), subject.finder(0)];
    const text = secretOf("watchplane");
    await subject.issue(text);
    for (const one of [finder, off]) expect(await find(one, text)).toBeDefined();
    expect(off.recall(text)).toBeUndefined();
    expect(finder.recall(text)).toBeDefined();
    for (const other of [text.slice(0, -1), `${text} `, `${text}\0`, text.toUpperCase(), ""]) {
      expect(finder.recall(other)).toBeUndefined();
      expect(finder.recall(encoded(other))).toBeUndefined();
    }
  });

  it("isn't known where the token is another product's, or follows no profile", async () => {
    await using subject = await open();
    const finder = subject.finder();
    const text = secretOf("walwarden");
    await subject.import(text, SHA256, "watchplane");
    for (let time = 0; time < 2; time++) {
      expect(await find(finder, text)).toBeUndefined();
      expect(finder.recall(text)).toBeUndefined();
    }
  });
});

describe("a digest that another system made", () => {
  it("doesn't open anything as a text, whatever memory knows by it", async () => {
    await using subject = await open();
    const finder = subject.finder();
    const text = "sk_live_of_another_system";
    const id = await subject.import(text, SHA512);
    for (let time = 0; time < 2; time++) {
      expect((await find(finder, text))?.token.id).toBe(id);
      expect(finder.recall(text)).toBeUndefined();
      const digest = Buffer.from(fingerprintOf(text, SHA512));
      expect(finder.recall(new EncodedText(digest, 0, digest.length))).toBeUndefined();
      const plain = hash("sha512", text, "buffer");
      expect(finder.recall(new EncodedText(plain, 0, plain.length))).toBeUndefined();
    }
  });

  it("yields to the text's own fingerprint as soon as that is imported, and that one's end counts", async () => {
    await using subject = await open();
    const finder = subject.finder();
    const text = "sk_live_of_another_system";
    const first = await subject.import(text, SHA512);
    expect((await find(finder, text))?.token.id).toBe(first);
    const second = await subject.import(text, SHA256);
    expect((await find(finder, text))?.token.id).toBe(second);
    expect(finder.recall(text)?.token.id).toBe(second);
    await subject.storage.revokeToken(second, someChange());
    expect((await find(finder, text))?.token.revokedAt).toBeInstanceOf(Date);
  });
});

describe("what is known by its text", () => {
  const TEXTS = [secretOf("watchplane"), secretOf("watchplane"), secretOf("walwarden"), "sk_live_of_another"];
  const step = fc.record({
    kind: fc.oneof(
      { weight: 8, arbitrary: fc.constant("ask") },
      { weight: 3, arbitrary: fc.constantFrom("import", "import by another digest") },
      { weight: 1, arbitrary: fc.constant("revoke") },
    ),
    text: fc.nat(TEXTS.length - 1),
  });

  it("is what the store says of it, whatever is asked, imported and revoked", async () => {
    let recalled = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 40 }),
        fc.constantFrom(2, 1_000),
        async (steps, maxEntries) => {
          await using subject = await open();
          const finder = subject.finder(maxEntries);
          const ids = new Map<string, string>();
          for (const { kind, text: index } of steps) {
            const text = TEXTS[index] ?? "";
            const isNew = !ids.has(`${kind} ${index}`);
            if (kind === "import" && isNew) ids.set(`${kind} ${index}`, await subject.import(text, SHA256));
            if (kind === "import by another digest" && isNew) {
              ids.set(`${kind} ${index}`, await subject.import(text, SHA512));
            }
            const id = ids.get(`import ${index}`) ?? ids.get(`import by another digest ${index}`);
            if (kind === "revoke" && id !== undefined) await subject.storage.revokeToken(id, someChange());
            if (kind !== "ask") continue;
            const expected = await find(subject.finder(0), text);
            const known = finder.recall(text);
            if (known !== undefined) recalled++;
            for (const found of [known ?? (await find(finder, text)), await find(finder, text)]) {
              expect([found?.token.id, found?.token.revokedAt, found?.format?.id]).toEqual([
                expected?.token.id,
                expected?.token.revokedAt,
                expected?.format?.id,
              ]);
            }
          }
        },
      ),
      { numRuns: 30 },
    );
    expect(recalled).toBeGreaterThan(20);
  });
});
