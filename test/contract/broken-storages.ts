/** Storages that break one clause each, to show that the contract's tests would notice. */
import { setImmediate } from "node:timers/promises";
import type { Change } from "../../src/domain/audit.ts";
import type { SigningKey, Token } from "../../src/domain/entities.ts";
import { AppError } from "../../src/domain/errors.ts";
import { idempotencyKeyReused } from "../../src/domain/idempotency.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { everyToken, someOrganization } from "./samples.ts";

export type StorageFault = keyof typeof faults;

export const faults = {
  /** S1: answers writes before they are stored. */
  acknowledgesEarly(storage: Storage): Storage {
    return override(storage, {
      async createOrganization(organization) {
        await setImmediate();
        return organization;
      },
      async createToken({ token }) {
        await setImmediate();
        return { ...token, revision: 1 };
      },
      async recordUses() {
        await setImmediate();
      },
      async updateToken() {
        await setImmediate();
        return undefined;
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

  /** F1: counts a change only some time after its write has resolved. */
  countsLate(storage: Storage): Storage {
    let known = storage.changeCount();
    return override(storage, {
      changeCount() {
        const late = known;
        setTimeout(() => {
          known = storage.changeCount();
        }, 0);
        return late;
      },
    });
  },

  /** S3: stores the parts of a write one after the other. */
  setsUpInSteps(storage: Storage): Storage {
    return override(storage, {
      async setUp({ organizations, users, memberships, tokens }, change) {
        if (!(await storage.isEmpty())) return false;
        for (const organization of organizations) await storage.createOrganization(organization, change);
        for (const user of users) await storage.createUser(user);
        for (const membership of memberships) await storage.putMembership(membership, change);
        for (const token of tokens) await storage.createToken(token, change);
        return true;
      },
    });
  },

  /** O5: looks first whether there are tokens, and changes the profile later. */
  changesProfileWithoutLock(storage: Storage): Storage {
    const changes = new Map<string, { profile: string; plan: string }>();
    const getOrganization = async (id: string) => {
      const organization = await storage.getOrganization(id);
      return organization && { ...organization, ...changes.get(id) };
    };
    return override(storage, {
      getOrganization,
      async setProfile(id, profile, plan) {
        const before = await getOrganization(id);
        const tokens = await storage.listTokens(everyToken(id, { profile: before?.profile }));
        if (tokens.length > 0) throw new AppError("failed_precondition", "It has tokens.");
        changes.set(id, { profile, plan });
        return getOrganization(id);
      },
    });
  },

  /** M5 and M6: looks first whether there is another owner, and writes later. */
  guardsOwnersWithoutLock(storage: Storage): Storage {
    const keepAnOwner = async (organizationId: string, userId: string) => {
      const members = await storage.listMembers(organizationId, undefined, 10_000);
      const others = members.filter(({ membership }) => membership.userId !== userId && membership.role === "owner");
      if (others.length === 0) throw new AppError("failed_precondition", "It is the last owner.");
    };
    const removed = new Set<string>();
    return override(storage, {
      async setMemberRole(organizationId, userId, role, change) {
        await keepAnOwner(organizationId, userId);
        await storage.putMembership({ organizationId, userId, role, createdAt: new Date(0) }, change);
        const members = await storage.listMembers(organizationId, undefined, 10_000);
        return members.find(({ membership }) => membership.userId === userId);
      },
      async removeMember(organizationId, userId) {
        await keepAnOwner(organizationId, userId);
        removed.add(userId);
        return { revokedTokens: 0 };
      },
      async listMembers(organizationId, position, limit) {
        const members = await storage.listMembers(organizationId, position, limit);
        return members.filter(({ user }) => !removed.has(user.id));
      },
    });
  },

  /** L1: looks first how much is left, and takes it later. */
  leasesWithoutLock(storage: Storage): Storage {
    return override(storage, {
      async takeLease(request) {
        const before = await storage.readWindow(request.tokenId, request.windowStart);
        const granted = Math.max(0, Math.min(request.units, request.limit - before));
        await setImmediate();
        if (granted > 0) await storage.takeLease({ ...request, limit: Number.MAX_SAFE_INTEGER, units: granted });
        return { granted, taken: before + granted };
      },
    });
  },

  /** L1: counts in memory. */
  leasesFromMemory(storage: Storage): Storage {
    let taken = 0;
    return override(storage, {
      async takeLease({ limit, units }) {
        const granted = Math.max(0, Math.min(units, limit - taken));
        taken += granted;
        return { granted, taken };
      },
    });
  },

  /** I2: looks first whether there is a record, and writes later. */
  recordsWithoutLock(storage: Storage): Storage {
    return override(storage, {
      async createToken(token, change, record) {
        if (record === undefined) return storage.createToken(token, change);
        const earlier = await storage.findRecordedCall(record.keyHash, record.createdAt);
        if (earlier !== undefined) throw idempotencyKeyReused();
        const [stored] = await Promise.all([
          storage.createToken(token, change),
          // The record comes to be by a write that changes nothing of note.
          storage.createOrganization(someOrganization(), change, record).catch(() => {}),
        ]);
        return stored;
      },
    });
  },

  /** TF1: compares names as `LIKE` does. */
  guessesNames(storage: Storage): Storage {
    return override(storage, {
      async listTokens(query) {
        const { namePrefix } = query;
        const tokens = await storage.listTokens({ ...query, namePrefix: undefined });
        if (namePrefix === undefined) return tokens;
        const pattern = RegExp.escape(namePrefix).replaceAll("%", ".*").replaceAll("_", ".");
        return tokens.filter(({ name }) => new RegExp(`^${pattern}`, "isu").test(name));
      },
    });
  },

  /** TU2: the last write wins, whatever it went by. */
  updatesWhateverIsThere(storage: Storage): Storage {
    return override(storage, {
      async updateToken(id, settings, _, change, record) {
        for (;;) {
          const token = await storage.getToken(id);
          const updated = token && (await storage.updateToken(id, settings, token.revision, change, record));
          if (token === undefined || updated !== undefined) return updated;
        }
      },
    });
  },

  /** IM1: looks which tokens are there, and stores the others one after the other. */
  importsInSteps(storage: Storage): Storage {
    return override(storage, {
      async importTokens(tokens, _schemes, change) {
        const answers: (Token | "taken")[] = [];
        for (const token of tokens) {
          const stored = storage.createToken(token, change);
          answers.push(await stored.catch((): "taken" => "taken"));
        }
        return answers;
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

  /** T8: what is recorded last is the day's count. */
  setsCountsOfUses(storage: Storage): Storage {
    const counts = new Map<string, Map<number, number>>();
    return override(storage, {
      async recordUses(all) {
        for (const { tokenId, daily } of all) {
          for (const { day, uses } of daily) {
            counts.set(tokenId, new Map(counts.get(tokenId)).set(day, uses));
          }
        }
      },
      async readUses(tokenId, first, last) {
        return Array.from(counts.get(tokenId) ?? [], ([day, uses]) => ({ day, uses }))
          .filter(({ day }) => day >= first && day <= last)
          .toSorted((one, two) => one.day - two.day);
      },
    });
  },

  /** TR1: looks among the current secrets first, and among the former ones later. */
  findsSecretsInSteps(storage: Storage): Storage {
    return override(storage, {
      async findTokenByFingerprint(fingerprint) {
        const first = await storage.findTokenByFingerprint(fingerprint);
        if (first?.secret.kind === "current") return first;
        await setImmediate();
        const second = await storage.findTokenByFingerprint(fingerprint);
        return second?.secret.kind === "former" ? second : undefined;
      },
    });
  },

  /** B1: reads what matches, and revokes it one by one. */
  revokesOneByOne(storage: Storage): Storage {
    return override(storage, {
      async revokeTokens({ organizationId, profile }, change) {
        const tokens = await storage.listTokens(everyToken(organizationId, { profile, limit: 10_000 }));
        await Promise.all(tokens.map(({ id }) => storage.revokeToken(id, change)));
        return tokens.length;
      },
    });
  },

  /** B1 and B3: takes letters of a name for their capitals. */
  matchesNamesLoosely(storage: Storage): Storage {
    return override(storage, {
      countTokens: (selection, now) =>
        storage.countTokens({ ...selection, namePrefix: selection.namePrefix?.toLowerCase() }, now),
    });
  },

  /** P2: goes by what is asked, and not by what has ended. */
  purgesWhatIsAsked(storage: Storage): Storage {
    return override(storage, {
      purgeTokens: (endedBefore, limit, change) =>
        storage.purgeTokens(endedBefore, limit, { ...change, at: endedBefore }),
    });
  },

  /** M8: ends the membership first, and revokes the tokens later. */
  removesInSteps(storage: Storage): Storage {
    return override(storage, {
      async removeMember(organizationId, userId, { profile }, change) {
        const removed = await storage.removeMember(organizationId, userId, { profile, types: [] }, change);
        await setImmediate();
        const everything = { type: undefined, namePrefix: undefined, createdBy: undefined, unusedSince: undefined };
        const revokedTokens = await storage.revokeTokens({ ...everything, organizationId, profile, userId }, change);
        return removed && { revokedTokens };
      },
    });
  },

  /** TR2: looks first whether the token was changed, and rotates it later. */
  rotatesTokensWithoutLock(storage: Storage): Storage {
    return override(storage, {
      async rotateToken(id, rotation, change) {
        const before = await storage.getToken(id);
        if (before?.revision !== rotation.revision) throw new AppError("failed_precondition", "It was changed.");
        for (;;) {
          const { revision = 0 } = (await storage.getToken(id)) ?? {};
          try {
            return await storage.rotateToken(id, { ...rotation, revision }, change);
          } catch (error) {
            if (!String(error).includes("at the same time")) throw error;
          }
        }
      },
    });
  },

  /** TR6: an end for good is an end at a time, which comes again when the clock is set back. */
  endsSecretsByTheClock(storage: Storage): Storage {
    return override(storage, {
      async findTokenByFingerprint(fingerprint) {
        const found = await storage.findTokenByFingerprint(fingerprint);
        if (found?.secret.kind !== "former") return found;
        const { rotation } = (await storage.getToken(found.token.id)) ?? {};
        const { endsAt = rotation?.overlapEndsAt } = found.secret;
        return { ...found, secret: { kind: "former", endsAt } };
      },
    });
  },

  /** TR7: counts every use of a former secret for the rotation, whenever it was. */
  countsEveryFormerUse(storage: Storage): Storage {
    const uses = new Map<string, Date>();
    return override(storage, {
      async recordUses(all) {
        for (const { tokenId, secret, usedAt } of all) if (secret === "former") uses.set(tokenId, usedAt);
        await storage.recordUses(all);
      },
      async getToken(id) {
        const token = await storage.getToken(id);
        const previousLastUsedAt = uses.get(id);
        if (token?.rotation === undefined || previousLastUsedAt === undefined) return token;
        return { ...token, rotation: { ...token.rotation, previousLastUsedAt } };
      },
    });
  },

  /** M9: doesn't look whether somebody is still a member. */
  issuesToAnybody(storage: Storage): Storage {
    return override(storage, {
      createToken: (token, change, record) => storage.createToken({ ...token, isPersonal: false }, change, record),
    });
  },

  /** IV5: looks whether the invitation works, and uses it later. */
  acceptsInSteps(storage: Storage): Storage {
    return override(storage, {
      async acceptInvitation(fingerprint, guest, change) {
        const invitation = await storage.findInvitation(fingerprint, change.at);
        if (invitation === undefined || guest.kind !== "newcomer") return undefined;
        const { organizationId, role, email } = invitation;
        await storage.acceptInvitation(fingerprint, guest, change);
        const user = { ...guest.user, email };
        return { membership: { organizationId, role, userId: user.id, createdAt: change.at }, user };
      },
    });
  },

  /** PL4: looks whether the link works, and uses it later. */
  resetsPasswordsInSteps(storage: Storage): Storage {
    return override(storage, {
      async resetPassword(fingerprint, passwordHash, change) {
        const user = await storage.findPasswordLink(fingerprint, change.at);
        if (user === undefined) return false;
        await storage.resetPassword(fingerprint, passwordHash, change);
        return true;
      },
    });
  },

  /** U7: looks first whether somebody has the email, and stores the organization by itself. */
  registersInSteps(storage: Storage): Storage {
    return override(storage, {
      async register(organization, user, change) {
        if ((await storage.findUserByEmail(user.email)) !== undefined) return false;
        await storage.createOrganization(organization, change);
        await storage.addMember({ organizationId: organization.id, role: "owner", createdAt: change.at }, user, change);
        return true;
      },
    });
  },

  /** U5: looks first whether the hash is still the one, and changes it later. */
  changesPasswordsWithoutLock(storage: Storage): Storage {
    return override(storage, {
      async changePassword(userId, password, change) {
        const user = await storage.getUser(userId);
        if (user?.passwordHash !== password.before) return false;
        for (let isMade = false; !isMade; ) {
          const { passwordHash: before = "" } = (await storage.getUser(userId)) ?? {};
          isMade = await storage.changePassword(userId, { ...password, before }, change);
        }
        return true;
      },
    });
  },

  /** R4: looks first whether a refresh token was used, and marks it later. */
  rotatesWithoutLock(storage: Storage): Storage {
    const used = new Set<string>();
    return override(storage, {
      async rotateRefreshToken(rotation, change) {
        const key = rotation.presented.join();
        const wasUsed = used.has(key);
        const outcome = await storage.rotateRefreshToken(rotation, change);
        used.add(key);
        return outcome.kind === "reused" && !wasUsed ? { ...outcome, kind: "rotated" } : outcome;
      },
    });
  },

  /** E1: makes the change first, and records it later. */
  changesBeforeRecording(storage: Storage): Storage {
    const later = (change: Change): Change => ({ ...change, requestId: "recorded later" });
    return override(storage, {
      async createOrganization(organization, change) {
        const created = await storage.createOrganization(organization, later(change));
        if (change.requestId === "doomed") throw new AppError("unavailable", "The event can't be stored.");
        return created;
      },
    });
  },

  /** E2: two events that are written at once get the same number. */
  numbersEventsWithoutLock(storage: Storage): Storage {
    return override(storage, {
      async listEvents(query) {
        const events = await storage.listEvents(query);
        return events.map((event) => (event.sequence % 10 === 0 ? { ...event, sequence: event.sequence - 1 } : event));
      },
    });
  },

  /** H3: asks the half that reads. */
  pingsReadsOnly(storage: Storage): Storage {
    return override(storage, { pingWrites: () => storage.ping() });
  },

  /** K3: looks first which key is the newest, and adds another one to whatever is the newest later. */
  replacesEverySigningKey(storage: Storage): Storage {
    return override(storage, {
      async replaceSigningKey(newestId, key) {
        if ((await storage.listSigningKeys()).at(-1)?.id !== newestId) return false;
        for (let isStored = false; !isStored; ) {
          const newest = (await storage.listSigningKeys()).at(-1)?.id ?? "";
          isStored = await storage.replaceSigningKey(newest, key);
        }
        return true;
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
