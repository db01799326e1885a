/** Storages that break one clause each, to show that the contract's tests would notice. */
import { setImmediate } from "node:timers/promises";
import type { SigningKey, Token } from "../../src/domain/entities.ts";
import type { Storage } from "../../src/domain/storage.ts";

export type StorageFault = keyof typeof faults;

export const faults = {
  /** S1: answers writes before they are stored. */
  acknowledgesEarly(storage: Storage): Storage {
    return override(storage, {
      async createOrganization() {
        await setImmediate();
      },
      async createToken({ token }) {
        await setImmediate();
        return { ...token, revision: 1 };
      },
      async recordUses() {
        await setImmediate();
      },
      async revokeToken() {
        await setImmediate();
        return undefined;
      },
    });
  },

  /** S2: reads from a copy that writes don't refresh. */
  readsStale(storage: Storage): Storage {
    const copies = new Map<string, Promise<Token | undefined>>();
    return override(storage, {
      getToken(id) {
        const copy = copies.get(id) ?? storage.getToken(id);
        copies.set(id, copy);
        return copy;
      },
    });
  },

  /** S3: stores the parts of a write one after the other. */
  setsUpInSteps(storage: Storage): Storage {
    return override(storage, {
      async setUp({ organizations, users, memberships, tokens }) {
        if (!(await storage.isEmpty())) return false;
        for (const organization of organizations) await storage.createOrganization(organization);
        for (const user of users) await storage.createUser(user);
        for (const membership of memberships) await storage.putMembership(membership);
        for (const token of tokens) await storage.createToken(token);
        return true;
      },
    });
  },

  /** T5: pages by counting, so that a token that is issued meanwhile shifts the rest. */
  pagesByOffset(storage: Storage): Storage {
    const offsets = new Map<string, number>();
    return override(storage, {
      async listTokens(query) {
        const offset = query.after === undefined ? 0 : (offsets.get(query.after.id) ?? 0);
        const all = await storage.listTokens({ ...query, after: undefined, limit: 10_000 });
        const page = all.slice(offset, offset + query.limit);
        const last = page.at(-1);
        if (last !== undefined) offsets.set(last.id, offset + page.length);
        return page;
      },
    });
  },

  /** T7: the last write wins, whatever time it says. */
  keepsLatestWrite(storage: Storage): Storage {
    const lastUses = new Map<string, Date>();
    return override(storage, {
      async recordUses(uses) {
        for (const { tokenId, usedAt } of uses) lastUses.set(tokenId, usedAt);
      },
      async getToken(id) {
        const token = await storage.getToken(id);
        return token && { ...token, lastUsedAt: lastUses.get(id) };
      },
    });
  },

  /** R4: looks first whether a refresh token was used, and marks it later. */
  rotatesWithoutLock(storage: Storage): Storage {
    const used = new Set<string>();
    return override(storage, {
      async rotateRefreshToken({ presented, next, now }) {
        const key = presented.join();
        const wasUsed = used.has(key);
        const outcome = await storage.rotateRefreshToken({ presented, next, now });
        used.add(key);
        return outcome.kind === "reused" && !wasUsed ? { ...outcome, kind: "rotated" } : outcome;
      },
    });
  },

  /** K1: looks first whether there is a key, and stores its own later. */
  keepsEverySigningKey(storage: Storage): Storage {
    const added: SigningKey[] = [];
    return override(storage, {
      async ensureSigningKey(key) {
        if ((await storage.listSigningKeys()).length === 0) {
          await storage.ensureSigningKey(key);
          added.push(key);
        }
        return added;
      },
    });
  },
};

function override(storage: Storage, methods: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      return methods[name] ?? target[name].bind(target);
    },
  });
}
