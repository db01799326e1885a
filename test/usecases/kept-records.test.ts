/** A token in memory, of which only a part is kept, is judged and answered as the store's own record is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Chaskey12, type Tag } from "../../src/domain/chaskey.ts";
import { decide } from "../../src/domain/decision.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { AnswerEncoder } from "../../src/rpc/introspection/encoded.ts";
import type { JudgementDeps } from "../../src/rpc/introspection/judgement.ts";
import { ChangeLog } from "../../src/usecases/change-log.ts";
import { TokenCache } from "../../src/usecases/token-cache.ts";
import { NOW, someChange, someOrganization, someSettings, someToken } from "../contract/samples.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";

const NOW_MS = NOW.getTime();
const TOKENS = 12;

const profile = loadProfiles(undefined).get("walwarden") ?? expect.fail("there is no profile walwarden");
const plans = profile.plans.map(({ name }) => name);
const scopes = profile.access.kind === "scopes" ? profile.access.catalog.map(({ name }) => name) : [];
const deps = { defaultProfile: profile, clock: () => NOW_MS } as JudgementDeps;

const settings = fc.record({
  name: fc.string({ maxLength: 40 }),
  enabled: fc.boolean(),
  scopes: fc.subarray(scopes),
  ipAllowlist: fc.subarray(["192.0.2.0/24", "2001:db8::/32"]),
  expiresAt: fc.option(fc.constantFrom(new Date(NOW_MS), new Date(NOW_MS + 60_000)), { nil: undefined }),
});

const token = fc.nat(TOKENS - 1);

const code = new Chaskey12(new Uint8Array(16));

/** @param words so many that the first two words of tags are of; a few, and most tokens meet others there */
function tagOf(fingerprint: Uint8Array, words: number): Tag {
  code.ofBytes(fingerprint, 0, fingerprint.length);
  const { a, b, c, d } = code;
  return { a: a % words, b: b % words, c, d };
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("ask" as const),
      token,
      clientIp: fc.constantFrom(undefined, "192.0.2.7", "198.51.100.1", "2001:db8::7"),
      requiredScopes: fc.subarray([...scopes, "nobody:has"], { maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("update" as const), token, settings }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("revoke" as const), token }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("plan" as const), plan: fc.constantFrom(...plans) }) },
);

describe("a record in memory", () => {
  it("gives the decision and the answer of the store's, whatever is asked, changed and put out, and whoever meets", async () => {
    await using subject = await openSqliteSubject();
    const { storage } = subject;
    let answers = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(settings, { minLength: TOKENS, maxLength: TOKENS }),
        fc.array(step, { minLength: 20, maxLength: 80 }),
        fc.constantFrom(3, 1_000),
        fc.constantFrom(4, 2 ** 32),
        async (issued, steps, maxEntries, words) => {
          const cache = new TokenCache(storage, new ChangeLog(storage), { maxEntries, maxBytes: 1024 * 1024 });
          const encoder = new AnswerEncoder(deps);
          const organization = someOrganization({ profile: profile.id, plan: plans[0] ?? "" });
          const { id: organizationId } = await storage.createOrganization(organization, someChange());
          const tokens = await Promise.all(
            issued.map(async (fields) => {
              const made = someToken({ organizationId, profile: profile.id, ...fields });
              await storage.createToken(made, someChange());
              return { id: made.token.id, fingerprint: made.fingerprint };
            }),
          );
          const at = (index: number) => tokens[index] ?? expect.fail("there is no such token");
          for (const one of steps) {
            if (one.kind === "plan") {
              await storage.setPlan(organizationId, one.plan, someChange());
            } else if (one.kind === "revoke") {
              await storage.revokeToken(at(one.token).id, someChange());
            } else if (one.kind === "update") {
              const { id } = at(one.token);
              const { revision, revokedAt } = (await storage.getToken(id)) ?? expect.fail("it is gone");
              if (revokedAt !== undefined) continue;
              await storage.updateToken(id, someSettings(one.settings), revision, someChange());
            } else {
              const { fingerprint } = at(one.token);
              const stored = await storage.findTokenByFingerprint(fingerprint);
              const kept = await cache.find(tagOf(fingerprint, words), fingerprint);
              if (stored === undefined || kept === undefined) return expect.fail("it isn't found");
              const decision = decide(kept, profile, one, NOW_MS);
              const expected = decide(stored, profile, one, NOW_MS);
              expect({ ...decision, record: undefined }).toEqual({ ...expected, record: undefined });
              const rateStatus = undefined;
              const answer = encoder.encode({ decision, profile, rateStatus });
              expect(answer.equals(new AnswerEncoder(deps).encode({ decision: expected, profile, rateStatus }))).toBe(
                true,
              );
              answers++;
            }
          }
          expect(cache.size).toBeLessThanOrEqual(maxEntries);
        },
      ),
      { numRuns: 25 },
    );
    expect(answers).toBeGreaterThan(300);
  });
});
