/** What must hold of tokens with a new secret and an old one, over many histories. Each throws when it doesn't. */
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect } from "vitest";
import { type DecisionRequest, decide } from "../../src/domain/decision.ts";
import { type Rotation, type Token, tokenState } from "../../src/domain/entities.ts";
import { AppError } from "../../src/domain/errors.ts";
import { toPublicId } from "../../src/domain/ids.ts";
import type { Profile } from "../../src/domain/profile.ts";
import type { PresentedSecret, SecretKind } from "../../src/domain/rotation.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import {
  after,
  changeBy,
  everyEvent,
  knownRecord,
  NOW,
  someChange,
  someFingerprint,
  someOrganization,
  someRotation,
  someToken,
  someUse,
} from "./samples.ts";

const AT_ONCE = 16;

const profile = loadProfiles(undefined).get("watchplane") as Profile;
const plan = profile.plans[0]?.name ?? "";
const ANYTHING: DecisionRequest = { requiredScopes: [], clientIp: undefined };

/** Milliseconds after `NOW`. */
type Moment = number;

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("rotate" as const),
        overlap: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 })),
        isStale: fc.integer({ min: 0, max: 7 }).map((number) => number === 0),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: "finish" as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: "cancel" as const }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("use" as const), which: fc.nat({ max: 1 }) }) },
    { weight: 2, arbitrary: fc.constant({ kind: "flush" as const }) },
    // Clocks are set back, too.
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("advance" as const), by: fc.integer({ min: -4, max: 9 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: "revoke" as const }) },
  ),
  { minLength: 1, maxLength: 40, size: "max" },
);

/** What ought to be: a token's secrets by their number, in the order in which they were made. */
class Model {
  now: Moment = 0;
  current = 0;
  former: { readonly secret: number; readonly endsAt: Moment } | undefined;
  rotation: Rotation | undefined;
  lastUse: Moment | undefined;
  isRevoked = false;
  readonly expiry: Moment | undefined;
  readonly hints: string[];

  constructor(expiry: Moment | undefined, hint: string) {
    this.expiry = expiry;
    this.hints = [hint];
  }

  get isExpired(): boolean {
    return this.expiry !== undefined && this.expiry <= this.now;
  }

  get overlapRuns(): boolean {
    return !this.isRevoked && this.former !== undefined && this.now < this.former.endsAt;
  }

  presented(secret: number): PresentedSecret {
    if (secret === this.current) return { kind: "current" };
    return { kind: "former", endsAt: secret === this.former?.secret ? after(this.former.endsAt) : undefined };
  }

  works(secret: number): boolean {
    const works = secret === this.current || (secret === this.former?.secret && this.now < this.former.endsAt);
    return works && !this.isRevoked && !this.isExpired;
  }

  /** Whether it is made. */
  rotate(overlap: number, isStale: boolean, hint: string): boolean {
    if (this.isRevoked || this.isExpired || this.overlapRuns || isStale) return false;
    const endsAt = this.now + overlap;
    const previousHint = this.hints[this.current] ?? "";
    this.former = overlap > 0 ? { secret: this.current, endsAt } : undefined;
    this.rotation = {
      startedAt: after(this.now),
      overlapEndsAt: after(endsAt),
      previousHint,
      previousLastUsedAt: undefined,
    };
    this.current = this.hints.push(hint) - 1;
    return true;
  }

  /** Whether it changes something. */
  finish(): boolean {
    if (!this.overlapRuns) return false;
    this.former = undefined;
    if (this.rotation) this.rotation = { ...this.rotation, overlapEndsAt: after(this.now) };
    return true;
  }

  /** Whether it is made. */
  cancel(): boolean {
    if (!this.overlapRuns || this.former === undefined) return false;
    this.current = this.former.secret;
    this.former = undefined;
    this.rotation = undefined;
    return true;
  }

  record(uses: readonly { readonly secret: SecretKind; readonly at: Moment }[]): void {
    for (const { secret, at } of uses) {
      this.lastUse = Math.max(at, this.lastUse ?? at);
      if (secret === "current" || this.rotation === undefined || after(at) < this.rotation.startedAt) continue;
      const { previousLastUsedAt = after(at) } = this.rotation;
      const latest = previousLastUsedAt > after(at) ? previousLastUsedAt : after(at);
      this.rotation = { ...this.rotation, previousLastUsedAt: latest };
    }
  }
}

/** TR6, and what the others say of one token, over many histories. */
export async function checkRotations(storage: Storage): Promise<void> {
  const organization = someOrganization({ plan });
  await storage.createOrganization(organization, someChange());
  const expiry = fc.option(fc.integer({ min: 5, max: 80 }), { nil: undefined });
  await fc.assert(
    fc.asyncProperty(steps, expiry, async (history, expiresAt) => {
      const created = someToken({
        organizationId: organization.id,
        expiresAt: expiresAt === undefined ? undefined : after(expiresAt),
      });
      const { id } = created.token;
      let token = await storage.createToken(created, someChange());
      const model = new Model(expiresAt, created.token.hint);
      const fingerprints = [created.fingerprint];
      const waiting: { readonly secret: SecretKind; readonly at: Moment }[] = [];

      for (const step of history) {
        const change = changeBy("usr_someone", after(model.now));
        let answer: Token | AppError | undefined;
        let changes: boolean | undefined;
        switch (step.kind) {
          case "advance":
            model.now += step.by;
            break;
          case "rotate": {
            const fingerprint = someFingerprint();
            const hint = `wp_…${fingerprints.length}`;
            const overlapEndsAt = after(model.now + step.overlap);
            const seen = step.isStale ? { revision: token.revision - 1 } : token;
            answer = await orError(
              storage.rotateToken(id, someRotation(seen, { fingerprint, hint, overlapEndsAt }), change),
            );
            changes = model.rotate(step.overlap, step.isStale, hint);
            if (changes) fingerprints.push(fingerprint);
            else expect(answer).toMatchObject({ kind: "failed_precondition" });
            break;
          }
          case "finish":
            answer = await orError(storage.finishRotation(id, change));
            changes = model.finish();
            break;
          case "cancel":
            answer = await orError(storage.cancelRotation(id, change));
            changes = model.cancel();
            if (!changes) expect(answer).toMatchObject({ kind: "failed_precondition" });
            break;
          case "revoke":
            answer = await storage.revokeToken(id, change);
            changes = !model.isRevoked;
            model.isRevoked = true;
            break;
          case "use": {
            const working = [...fingerprints.keys()].filter((secret) => model.works(secret));
            const secret = working[step.which % working.length];
            if (secret !== undefined) waiting.push({ secret: model.presented(secret).kind, at: model.now });
            break;
          }
          case "flush": {
            const uses = waiting.splice(0);
            await storage.recordUses(uses.map(({ secret, at }) => someUse(id, after(at), { secret })));
            model.record(uses);
            break;
          }
        }

        const stored = (await storage.getToken(id)) ?? token;
        if (changes === true) expect(stored.revision).toBeGreaterThan(token.revision);
        else expect(stored.revision).toBe(token.revision);
        if (answer !== undefined && !(answer instanceof AppError)) expect(answer).toEqual(stored);
        expect(stored).toMatchObject({ hint: model.hints[model.current] });
        expect(stored.rotation).toEqual(model.rotation);
        expect(stored.lastUsedAt).toEqual(model.lastUse === undefined ? undefined : after(model.lastUse));
        expect(stored.revokedAt === undefined).toBe(!model.isRevoked);
        token = stored;
        for (const [secret, fingerprint] of fingerprints.entries()) {
          const record = await storage.findTokenByFingerprint(fingerprint);
          expect(record).toEqual(knownRecord(token, organization, model.presented(secret)));
          if (record === undefined) continue;
          const decision = decide(record, profile, ANYTHING, after(model.now).getTime());
          expect(decision.active).toBe(model.works(secret));
        }
      }
    }),
    { numRuns: 120 },
  );
}

/** TR2. Sixteen rotate one token at once, with and without an overlap. */
export async function checkOneSecretWins(storage: Storage): Promise<void> {
  const organization = someOrganization({ plan });
  await storage.createOrganization(organization, someChange());
  for (let race = 0; race < 10; race++) {
    const created = someToken({ organizationId: organization.id });
    const token = await storage.createToken(created, someChange());
    const overlapEndsAt = after(race % 2);
    const all = Array.from({ length: AT_ONCE }, () => someRotation(token, { overlapEndsAt }));
    const answers = await Promise.all(
      all.map((rotation) => orError(storage.rotateToken(token.id, rotation, someChange()))),
    );
    const won = answers.map((answer) => !(answer instanceof AppError));
    expect(won.filter(Boolean)).toHaveLength(1);
    for (const [index, { fingerprint }] of all.entries()) {
      const found = await storage.findTokenByFingerprint(fingerprint);
      if (won[index] === true) expect(found?.secret).toEqual({ kind: "current" });
      else expect(found).toBeUndefined();
      const answer = answers[index];
      if (answer instanceof AppError) expect(answer.kind).toBe("failed_precondition");
    }
    const former = await storage.findTokenByFingerprint(created.fingerprint);
    expect(former?.secret).toEqual({ kind: "former", endsAt: race % 2 === 0 ? undefined : overlapEndsAt });
  }
}

/** TR4 and TR5. Many finish and cancel one rotation at once: one of them does, and what it says is so. */
export async function checkOneEndOfOverlap(storage: Storage): Promise<void> {
  const organization = someOrganization({ plan });
  await storage.createOrganization(organization, someChange());
  const outcomes = new Set<string>();
  for (let race = 0; race < 10; race++) {
    const created = someToken({ organizationId: organization.id });
    const token = await storage.createToken(created, someChange());
    const rotation = someRotation(token, { overlapEndsAt: after(1_000) });
    await storage.rotateToken(token.id, rotation, someChange());
    const calls = Array.from({ length: AT_ONCE }, (_, index) =>
      index % 2 === race % 2
        ? () => storage.finishRotation(token.id, someChange())
        : () => storage.cancelRotation(token.id, someChange()),
    );
    const answers = await Promise.all(calls.map((call) => orError(call())));
    const refusals = answers.filter((answer) => answer instanceof AppError);
    const actions = ["token.rotation_finished", "token.rotation_cancelled"] as const;
    const events = await storage.listEvents(everyEvent({ target: toPublicId("tok", token.id), actions }));
    expect(events).toHaveLength(1);
    const action = events[0]?.action;
    const isCancelled = action === "token.rotation_cancelled";
    // Every other cancel is told that it came too late.
    expect(refusals).toHaveLength(AT_ONCE / 2 - (isCancelled ? 1 : 0));
    expect(refusals.filter(({ kind }) => kind !== "failed_precondition")).toEqual([]);
    const ended: PresentedSecret = { kind: "former", endsAt: undefined };
    const [old, made] = await Promise.all(
      [created, rotation].map(async ({ fingerprint }) => (await storage.findTokenByFingerprint(fingerprint))?.secret),
    );
    expect([old, made]).toEqual(isCancelled ? [{ kind: "current" }, ended] : [ended, { kind: "current" }]);
    outcomes.add(String(action));
  }
  expect(outcomes.size).toBe(2);
}

/** TR2. A token that is rotated and revoked at once has no secret that works, and none afterwards. */
export async function checkRevokeOfRotated(storage: Storage): Promise<void> {
  const organization = someOrganization({ plan });
  await storage.createOrganization(organization, someChange());
  const outcomes = new Set<boolean>();
  for (let race = 0; race < 20; race++) {
    const created = someToken({ organizationId: organization.id });
    const token = await storage.createToken(created, someChange());
    const rotation = someRotation(token, { overlapEndsAt: after(1_000) });
    const rotate = () => orError(storage.rotateToken(token.id, rotation, someChange()));
    const revoke = () => orError(storage.revokeToken(token.id, someChange()));
    const answers = await Promise.all((race % 2 === 0 ? [rotate, revoke] : [revoke, rotate]).map((call) => call()));
    expect(tokenState((await storage.getToken(token.id)) ?? expect.fail("it is gone"), NOW.getTime())).toBe("revoked");
    const isRotated = answers.every((answer) => !(answer instanceof AppError));
    outcomes.add(isRotated);
    for (const { fingerprint } of isRotated ? [created, rotation] : [created]) {
      const record = (await storage.findTokenByFingerprint(fingerprint)) ?? expect.fail("it is gone");
      expect(decide(record, profile, ANYTHING, NOW.getTime())).toEqual({ active: false, reason: "revoked" });
    }
    if (!isRotated) expect(await storage.findTokenByFingerprint(rotation.fingerprint)).toBeUndefined();
  }
  expect(outcomes.size).toBe(2);
}

/** TR1: while one rotates and cancels, every other finds the old secret working. */
export async function checkOldSecretIsKnown(storage: Storage): Promise<void> {
  const organization = someOrganization({ plan });
  await storage.createOrganization(organization, someChange());
  const created = someToken({ organizationId: organization.id });
  const { id } = await storage.createToken(created, someChange());
  let isDone = false;
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn++) {
      const token = (await storage.getToken(id)) ?? expect.fail("it is gone");
      await storage.rotateToken(id, someRotation(token, { overlapEndsAt: after(1_000) }), someChange());
      await storage.cancelRotation(id, someChange());
    }
  };
  const turning = turns().finally(() => {
    isDone = true;
  });
  const kinds = new Set<SecretKind | "unknown">();
  while (!isDone) {
    const found = await storage.findTokenByFingerprint(created.fingerprint);
    kinds.add(found?.secret.kind ?? "unknown");
    await setImmediate();
  }
  await turning;
  expect(kinds).toEqual(new Set(["current", "former"]));
}

/** TR7. */
export async function checkFormerUse(storage: Storage): Promise<void> {
  const { id: organizationId } = await storage.createOrganization(someOrganization(), someChange());
  const token = await storage.createToken(someToken({ organizationId }), someChange());
  const use = (secret: SecretKind, at: Moment) => storage.recordUses([someUse(token.id, after(at), { secret })]);
  const times = async () => {
    const { lastUsedAt, rotation } = (await storage.getToken(token.id)) ?? {};
    return [lastUsedAt, rotation?.previousLastUsedAt];
  };
  // Of an overlap that was cancelled since.
  await use("former", 1);
  expect(await times()).toEqual([after(1), undefined]);
  const rotation = someRotation(token, { overlapEndsAt: after(50) });
  await storage.rotateToken(token.id, rotation, someChange({ at: after(5) }));
  await use("current", 7);
  await use("former", 4);
  expect(await times()).toEqual([after(7), undefined]);
  await use("former", 5);
  expect(await times()).toEqual([after(7), after(5)]);
  await use("former", 9);
  await use("former", 8);
  await use("current", 10);
  expect(await times()).toEqual([after(10), after(9)]);

  // What waited to be written is the rotation's also after the overlap, and not the next one's.
  const { revision = 0 } = (await storage.finishRotation(token.id, someChange({ at: after(20) }))) ?? {};
  await use("former", 19);
  expect(await times()).toEqual([after(19), after(19)]);
  expect((await storage.getToken(token.id))?.revision).toBe(revision);
  await storage.rotateToken(token.id, someRotation({ revision }), someChange({ at: after(30) }));
  expect(await times()).toEqual([after(19), undefined]);
  await use("former", 19);
  expect(await times()).toEqual([after(19), undefined]);
}

/** The answer, or the error that it was refused with. */
async function orError<Answer>(call: Promise<Answer>): Promise<Answer | AppError> {
  return call.catch((error: unknown) => {
    if (error instanceof AppError) return error;
    throw error;
  });
}
