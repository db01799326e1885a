/** What is kept in memory, for how long it is true, and how much of it there is. */
import { describe, expect, it } from "vitest";
import type { Tag } from "../../src/domain/chaskey.ts";
import type { KnownRecord } from "../../src/domain/decision.ts";
import type { Organization } from "../../src/domain/entities.ts";
import { AppError } from "../../src/domain/errors.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { ChangeLog } from "../../src/usecases/change-log.ts";
import { TokenCache } from "../../src/usecases/token-cache.ts";
import { someChange, someOrganization, someToken } from "../contract/samples.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";

/** What a token is found by. */
interface Key {
  readonly tag: Tag;
  readonly fingerprint: Uint8Array;
}

const PLENTY = { maxEntries: 1_000, maxBytes: 1024 * 1024 * 1024 };

interface Subject extends AsyncDisposable {
  readonly storage: Storage;
  readonly organization: Organization;
  /** Times that the store was asked for a token. */
  readonly reads: () => number;
  cache(limits?: Partial<typeof PLENTY>, around?: (storage: Storage) => Storage): TokenCache;
  issue(fields?: object): Promise<{ readonly id: string; readonly key: Key }>;
}

async function open(): Promise<Subject> {
  const subject = await openSqliteSubject();
  const { storage } = subject;
  const organization = await storage.createOrganization(someOrganization(), someChange());
  let reads = 0;
  const counted = override(storage, {
    findTokenByFingerprint(fingerprint: Uint8Array) {
      reads++;
      return storage.findTokenByFingerprint(fingerprint);
    },
  });
  return {
    storage,
    organization,
    reads: () => reads,
    cache: (limits = {}, around = (inner) => inner) => {
      const seen = around(counted);
      return new TokenCache(seen, new ChangeLog(seen), { ...PLENTY, ...limits });
    },
    async issue(fields = {}) {
      const { token, fingerprint } = someToken({ organizationId: organization.id, ...fields });
      await storage.createToken({ token, fingerprint }, someChange());
      return { id: token.id, key: keyOf(fingerprint) };
    },
    [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
  };
}

/** A tag that is the fingerprint's alone, as a code's is a text's. */
function keyOf(fingerprint: Uint8Array): Key {
  const [a = 0, b = 0, c = 0, d = 0] = new Int32Array(fingerprint.slice().buffer);
  return { tag: { a, b, c, d }, fingerprint };
}

function find(cache: TokenCache, { tag, fingerprint }: Key): ReturnType<TokenCache["find"]> {
  return cache.find(tag, fingerprint);
}

function override(storage: Storage, methods: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, property) {
      const own = Reflect.get(methods, property) as unknown;
      return own ?? (Reflect.get(target, property) as () => unknown).bind(target);
    },
  });
}

describe("a token in memory", () => {
  it("is answered at once, without a promise or a look-up, from the second time on", async () => {
    await using subject = await open();
    const cache = subject.cache();
    const { id, key } = await subject.issue();
    const first = await find(cache, key);
    expect(first?.token.id).toBe(id);
    expect(find(cache, key)).toBe(first);
    expect(find(cache, key)).toBe(first);
    expect(subject.reads()).toBe(1);
    expect(cache).toMatchObject({ hits: 2, misses: 1, size: 1 });
  });

  it("is read again after each kind of change to it or its organization, at once", async () => {
    await using subject = await open();
    const { storage, organization } = subject;
    const cache = subject.cache();
    const { id, key } = await subject.issue();
    await find(cache, key);

    await storage.setPlan(organization.id, "bigger", someChange());
    expect((await find(cache, key))?.organization.plan).toBe("bigger");
    expect((find(cache, key) as KnownRecord).organization.plan).toBe("bigger");

    await storage.revokeToken(id, someChange());
    expect((await find(cache, key))?.token.revokedAt).toBeDefined();
  });

  it("stays while others are issued and revoked", async () => {
    await using subject = await open();
    const cache = subject.cache();
    const { key } = await subject.issue();
    const other = await subject.issue();
    await find(cache, key);
    await find(cache, other.key);
    const before = subject.reads();
    await subject.storage.revokeToken(other.id, someChange());
    await subject.issue();
    expect(await find(cache, key)).toBe(await find(cache, key));
    expect(subject.reads()).toBe(before);
    expect((await find(cache, other.key))?.token.revokedAt).toBeDefined();
  });

  it("isn't kept when a change comes between the read and its answer", async () => {
    await using subject = await open();
    const { storage } = subject;
    const { id, key } = await subject.issue();
    let revoke = true;
    const cache = subject.cache({}, (inner) =>
      override(inner, {
        async findTokenByFingerprint(fingerprint: Uint8Array) {
          const found = await inner.findTokenByFingerprint(fingerprint);
          if (revoke) {
            revoke = false;
            await storage.revokeToken(id, someChange());
          }
          return found;
        },
      }),
    );
    expect((await find(cache, key))?.token.revokedAt).toBeUndefined();
    expect((await find(cache, key))?.token.revokedAt).toBeDefined();
  });

  it("is let go with all others when too much has changed to look at it", async () => {
    await using subject = await open();
    const { storage } = subject;
    const cache = subject.cache();
    const { id, key } = await subject.issue();
    await find(cache, key);
    await Promise.all(
      Array.from({ length: 1_100 }, () => storage.createOrganization(someOrganization(), someChange())),
    );
    await storage.revokeToken(id, someChange());
    expect((await find(cache, key))?.token.revokedAt).toBeDefined();
    expect(cache.size).toBe(1);
  });

  it("answers many at once, who come while it catches up", async () => {
    await using subject = await open();
    const cache = subject.cache();
    const tokens = await Promise.all(Array.from({ length: 50 }, () => subject.issue()));
    for (const { key } of tokens) await find(cache, key);
    await subject.storage.revokeToken(tokens[7]?.id ?? "", someChange());
    const found = await Promise.all(tokens.map(async ({ key }) => find(cache, key)));
    expect(found.map((record) => record?.token.revokedAt !== undefined)).toEqual(tokens.map((_, index) => index === 7));
  });
});

describe("tokens that meet at the first word of their tags", () => {
  it("are both known, until a third one comes, and each is itself", async () => {
    await using subject = await open();
    const cache = subject.cache();
    const tokens = await Promise.all(Array.from({ length: 3 }, () => subject.issue()));
    const [one, two, three] = tokens.map(({ id, key: { tag, fingerprint } }, place) => ({
      id,
      key: { tag: { ...tag, a: 7, b: place === 0 ? tag.b : 8 }, fingerprint },
    }));
    if (!one || !two || !three) return expect.fail("they weren't issued");
    for (const { id, key } of [one, two, one, two]) expect((await find(cache, key))?.token.id).toBe(id);
    expect([subject.reads(), cache.size]).toEqual([2, 2]);
    for (const { id, key } of [three, one, two, three]) expect((await find(cache, key))?.token.id).toBe(id);
    expect([subject.reads(), cache.size]).toEqual([5, 2]);
  });
});

describe("what isn't in memory", () => {
  it("is read each time for a key that nobody has, and leaves nothing", async () => {
    await using subject = await open();
    const cache = subject.cache();
    for (let turn = 1; turn <= 3; turn++) {
      expect(await find(cache, keyOf(new Uint8Array(32)))).toBeUndefined();
      expect(subject.reads()).toBe(turn);
    }
    expect(cache).toMatchObject({ size: 0, bytes: 0 });
  });

  it("is everything when the cache is off, or the store can't say what changed", async () => {
    await using subject = await open();
    const { key } = await subject.issue();
    const off = subject.cache({ maxEntries: 0 });
    const unsure = subject.cache({}, (inner) => override(inner, { changeCount: () => undefined }));
    for (const cache of [off, unsure]) {
      const before = subject.reads();
      expect(find(cache, key)).toMatchObject({ token: { name: "deploy" } });
      await find(cache, key);
      expect(subject.reads() - before).toBe(2);
      expect(cache.size).toBe(0);
    }
  });

  it("is refused, not guessed, when the log can't be read", async () => {
    await using subject = await open();
    let isBroken = false;
    const cache = subject.cache({}, (inner) =>
      override(inner, {
        listChanges: (after, limit) =>
          isBroken ? Promise.reject(new AppError("unavailable", "broken")) : inner.listChanges(after, limit),
      }),
    );
    const { key } = await subject.issue();
    await find(cache, key);
    await subject.issue();
    isBroken = true;
    await expect(find(cache, key)).rejects.toMatchObject({ kind: "unavailable" });
    isBroken = false;
    expect((await find(cache, key))?.token).toBeDefined();
  });
});

describe("caches with one log", () => {
  it("read each change once, and all of them know it", async () => {
    await using subject = await open();
    const { storage } = subject;
    let readings = 0;
    const counted = override(storage, {
      listChanges: (after, limit) => {
        readings++;
        return storage.listChanges(after, limit);
      },
    });
    const log = new ChangeLog(counted);
    const caches = [new TokenCache(counted, log, PLENTY), new TokenCache(counted, log, PLENTY)];
    const tokens = await Promise.all(Array.from({ length: 20 }, () => subject.issue()));
    // The first look-up finds an empty cache, which has nothing to catch up with.
    for (const cache of caches) for (const { key } of tokens) await find(cache, key);
    for (const { id, key } of tokens) {
      const before = readings;
      await storage.revokeToken(id, someChange());
      const found = await Promise.all(caches.map(async (cache) => find(cache, key)));
      expect(found.map((record) => record?.token.revokedAt)).toEqual([expect.any(Date), expect.any(Date)]);
      expect(readings - before).toBe(1);
    }
  });

  it("aren't told of a reading that began before the last change", async () => {
    await using subject = await open();
    const { storage } = subject;
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    let isHeld = false;
    const slow = override(storage, {
      listChanges: async (after, limit) => {
        const notices = await storage.listChanges(after, limit);
        if (isHeld) await held;
        return notices;
      },
    });
    const log = new ChangeLog(slow);
    const [first, second] = [new TokenCache(slow, log, PLENTY), new TokenCache(slow, log, PLENTY)];
    const { id, key } = await subject.issue();
    const other = await subject.issue();
    for (const cache of [first, second]) for (const one of [key, other.key]) await find(cache, one);
    await storage.revokeToken(other.id, someChange());
    isHeld = true;
    const early = find(first, key);
    await storage.revokeToken(id, someChange());
    const late = find(second, key);
    letGo();
    expect((await late)?.token.revokedAt).toBeInstanceOf(Date);
    await early;
    expect((await find(first, key))?.token.revokedAt).toBeInstanceOf(Date);
  });
});

describe("the cache's bounds", () => {
  it("hold for entries, and what is asked for stays", async () => {
    await using subject = await open();
    const cache = subject.cache({ maxEntries: 10 });
    const busy = await subject.issue();
    const others = await Promise.all(Array.from({ length: 40 }, () => subject.issue()));
    await find(cache, busy.key);
    for (const { key } of others) {
      await find(cache, busy.key);
      await find(cache, key);
      expect(cache.size).toBeLessThanOrEqual(10);
    }
    expect(find(cache, busy.key)).not.toBeInstanceOf(Promise);
  });

  it("hold for bytes", async () => {
    await using subject = await open();
    const maxBytes = 20_000;
    const cache = subject.cache({ maxBytes });
    for (let turn = 0; turn < 30; turn++) {
      const { key } = await subject.issue({ metadata: { note: "x".repeat(turn * 50) } });
      await find(cache, key);
      expect(cache.bytes).toBeLessThanOrEqual(maxBytes);
    }
    expect(cache.size).toBeGreaterThan(3);
  });
});
