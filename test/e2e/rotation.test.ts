/** What rotating a token promises, through every door. */
import { randomUUID } from "node:crypto";
import { type Duration, durationFromMs, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { type Token, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { everyEvent } from "../contract/samples.ts";
import { DAY, HOUR, MINUTE, SECOND, TestClock } from "../helpers/products.ts";
import {
  type Credential,
  expectOk,
  openSurface,
  RPC_SURFACES,
  type RpcSurface,
  SURFACES,
  type Surface,
} from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const rpc = TokenService.method;

const RUNNING = {
  ok: false,
  code: "FAILED_PRECONDITION",
  message: "The overlap of an earlier rotation is running. Finish or cancel that rotation first.",
};
const NOT_RUNNING = {
  ok: false,
  code: "FAILED_PRECONDITION",
  message: "No overlap is running, so there is no rotation to cancel.",
};

describe.each(SURFACES)("a rotation through %s", (name) => {
  let clock: TestClock;
  let test: TestApp;
  let surface: Surface;
  let grpc: RpcSurface;
  let admin: Credential;
  let member: Credential;

  beforeAll(async () => {
    clock = new TestClock("2026-03-04T05:06:07.890Z");
    test = await startTestApp({ surroundings: { clock: () => clock.nowMs } });
    surface = openSurface(test.app, name);
    grpc = openSurface(test.app, "grpc");
    const { adminEmail: email, adminPassword: password } = test.credentials;
    admin = { bearer: await test.signIn({ email, password }) };
    member = { bearer: await test.signIn(await test.addMember("member")) };
  });

  afterAll(async () => {
    surface.close();
    grpc.close();
    await test[Symbol.asyncDispose]();
  });

  const issue = async () => expectOk(await surface.issue(admin, { name: "CI" }));
  const backend = () => ({ bearer: test.credentials.serviceKey });
  const ask = async (secret: string) => expectOk(await grpc.introspect(backend(), { token: secret }));
  const works = async (secret: string) => (await ask(secret)).active;

  it("without an overlap ends the old secret at once, and tells nothing else of it", async () => {
    const { id, secret: old } = await issue();
    const rotated = expectOk(await surface.rotate(admin, id));
    expect(rotated).toMatchObject({ id, name: "CI" });
    expect(rotated.secret).toMatch(/^wp_[0-9a-f]{48}$/);
    expect(rotated.secret).not.toBe(old);
    expect(await ask(rotated.secret)).toMatchObject({ active: true, allowed: true, tokenId: id });
    expect(await ask(old)).toEqual({ ...(await ask("wp_not-a-token-at-all")), reason: Reason.REVOKED });
    expect(await surface.list({ apiKey: old })).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await surface.list({ apiKey: rotated.secret }));
    expect(await surface.cancelRotation(admin, id)).toEqual(NOT_RUNNING);
    // The next one needs nothing to be finished.
    const { secret: next } = expectOk(await surface.rotate(admin, id, 0));
    expect([await works(rotated.secret), await works(next)]).toEqual([false, true]);
  });

  it("with an overlap lets both secrets work, until it is over", async () => {
    const { id, secret: old } = await issue();
    const { secret } = expectOk(await surface.rotate(admin, id, 60));
    const both = async () => [await works(old), await works(secret)];
    expect(await both()).toEqual([true, true]);
    // Either may call, and is the same token.
    for (const apiKey of [old, secret]) expect(expectOk(await surface.get({ apiKey }, id)).id).toBe(id);
    expect(await surface.rotate(admin, id, 60)).toEqual(RUNNING);
    clock.advance(MINUTE - 1);
    expect(await both()).toEqual([true, true]);
    clock.advance(1);
    expect(await both()).toEqual([false, true]);
    expect(await surface.get({ apiKey: old }, id)).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.cancelRotation(admin, id)).toEqual(NOT_RUNNING);
    expectOk(await surface.rotate(admin, id, 60));
  });

  it("that is finished ends the old secret at once, and finishing again changes nothing", async () => {
    const { id, secret: old } = await issue();
    expect(expectOk(await surface.finishRotation(admin, id)).id).toBe(id);
    const { secret } = expectOk(await surface.rotate(admin, id, 60));
    for (const again of [0, 1]) {
      expect(expectOk(await surface.finishRotation(admin, id)), String(again)).toMatchObject({ id });
      expect([await works(old), await works(secret)]).toEqual([false, true]);
    }
    expect(await surface.cancelRotation(admin, id)).toEqual(NOT_RUNNING);
    expect((await ask(old)).reason).toBe(Reason.REVOKED);
  });

  it("that is cancelled ends the new secret at once, and leaves the old one", async () => {
    const { id, secret: old } = await issue();
    const { secret } = expectOk(await surface.rotate(admin, id, 60));
    expect(expectOk(await surface.cancelRotation(admin, id)).id).toBe(id);
    expect([await works(old), await works(secret)]).toEqual([true, false]);
    expect((await ask(secret)).reason).toBe(Reason.REVOKED);
    expect(await surface.list({ apiKey: secret })).toMatchObject({ code: "UNAUTHENTICATED" });
    clock.advance(HOUR / 4);
    expect([await works(old), await works(secret)]).toEqual([true, false]);
    expect(await surface.cancelRotation(admin, id)).toEqual(NOT_RUNNING);
    const next = expectOk(await surface.rotate({ apiKey: old }, id, 60));
    expect([await works(old), await works(next.secret), await works(secret)]).toEqual([true, true, false]);
  });

  it("doesn't save what is revoked, and can't be made of it", async () => {
    const { id, secret: old } = await issue();
    const { secret } = expectOk(await surface.rotate(admin, id, 60));
    expectOk(await surface.revoke(admin, id));
    expect([await works(old), await works(secret)]).toEqual([false, false]);
    expect(await surface.cancelRotation(admin, id)).toEqual(NOT_RUNNING);
    expect(expectOk(await surface.finishRotation(admin, id)).id).toBe(id);
    const message = "A token that is revoked can't be rotated. Issue a new one.";
    expect(await surface.rotate(admin, id, 60)).toEqual({ ok: false, code: "FAILED_PRECONDITION", message });
    expect([await works(old), await works(secret)]).toEqual([false, false]);
  });

  it("is for whoever may manage the token, and nobody else", async () => {
    const { id, secret } = await issue();
    const calls = (credential: Credential, which = id) => [
      surface.rotate(credential, which, 60),
      surface.finishRotation(credential, which),
      surface.cancelRotation(credential, which),
    ];
    const refusals = async (credential: Credential, which = id) => {
      const answers = await Promise.all(calls(credential, which));
      return answers.map((answer) => (answer.ok ? "OK" : answer.code));
    };
    const each = (code: string) => [code, code, code];
    expect(await refusals(member)).toEqual(each("PERMISSION_DENIED"));
    expect(await refusals({})).toEqual(each("UNAUTHENTICATED"));
    const reader = { bearer: await test.addServiceKey(["tokens:read"], test.credentials.organizationId) };
    expect(await refusals(reader)).toEqual(each("PERMISSION_DENIED"));

    const elsewhere = await test.addOrganization();
    const stranger = { bearer: await test.addServiceKey(["tokens:write", "tokens:read"], elsewhere) };
    const outsider = { bearer: await test.signIn(await test.addMember("owner", elsewhere)) };
    for (const credential of [stranger, outsider]) expect(await refusals(credential)).toEqual(each("NOT_FOUND"));
    for (const nothing of [`tok_0${"1".repeat(25)}`, "nonsense"]) {
      expect(await refusals(admin, nothing)).toEqual(each("NOT_FOUND"));
    }
    expect(await works(secret)).toBe(true);

    // One of the organization's own tokens, which may rotate itself.
    const { secret: next } = expectOk(await surface.rotate({ apiKey: secret }, id));
    expect(await works(secret)).toBe(false);
    expectOk(await surface.rotate({ bearer: test.credentials.serviceKey }, id, 60));
    expectOk(await surface.finishRotation({ apiKey: next }, id));
    expect(await works(next)).toBe(false);
  });

  it("of a service key is for service keys that hold all of its scopes", async () => {
    const { organizationId } = test.credentials;
    const scopes = ["introspect", "tokens:read", "tokens:write"];
    const key = await test.addServiceKey(scopes, organizationId);
    const self = expectOk(await grpc.invoke(rpc.getSelf, {}, { bearer: key })).token;
    const id = self?.id ?? "";
    for (const credential of [admin, member]) {
      expect(await surface.rotate(credential, id)).toMatchObject({ code: "NOT_FOUND" });
    }
    const lesser = { bearer: await test.addServiceKey(["tokens:write", "tokens:read"], organizationId) };
    expect(await surface.rotate(lesser, id)).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "A service key can't grant scopes that it lacks: introspect.",
    });
    const { secret } = expectOk(await surface.rotate({ bearer: key }, id, 60));
    expect(secret).toMatch(/^lk_[0-9A-Za-z]{48}$/);
    for (const bearer of [key, secret]) expectOk(await grpc.introspect({ bearer }, { token: "x" }));
    expectOk(await surface.finishRotation({ bearer: key }, id));
    expect(await grpc.introspect({ bearer: key }, { token: "x" })).toMatchObject({ code: "UNAUTHENTICATED" });
    // A key of one organization doesn't see those of all.
    const everywhere = expectOk(await grpc.invoke(rpc.getSelf, {}, backend())).token?.id ?? "";
    expect(await surface.rotate({ bearer: secret }, everywhere)).toMatchObject({ code: "NOT_FOUND" });
  });

  it.each([
    [-1, "must be greater than or equal to 0s and less than or equal to 2592000s"],
    [30 * 24 * 3600 + 1, "must be greater than or equal to 0s and less than or equal to 2592000s"],
  ])("refuses an overlap of %d s", async (seconds, fault) => {
    const { id, secret } = await issue();
    expect(await surface.rotate(admin, id, seconds)).toEqual({
      ok: false,
      code: "INVALID_ARGUMENT",
      message: `overlap: ${fault}`,
    });
    expect(await works(secret)).toBe(true);
  });

  it("leaves one event for what changed, none for what didn't, and no secret in any", async () => {
    const { id, secret: old } = await issue();
    const made = [expectOk(await surface.rotate(admin, id, 60)).secret];
    const endsAt = new Date(clock.nowMs + MINUTE).toISOString();
    await surface.rotate(admin, id, 60);
    expectOk(await surface.cancelRotation(admin, id));
    await surface.cancelRotation(admin, id);
    made.push(expectOk(await surface.rotate(admin, id, 60)).secret);
    expectOk(await surface.finishRotation(admin, id));
    expectOk(await surface.finishRotation(admin, id));
    made.push(expectOk(await surface.rotate(admin, id)).secret);
    const events = await test.app.deployment.storage.listEvents(everyEvent({ target: id }));
    expect(events.map(({ action, details, targetName }) => [action, targetName, details])).toEqual([
      ["token.issued", "CI", expect.anything()],
      ["token.rotated", "CI", { overlap_ends_at: endsAt }],
      ["token.rotation_cancelled", "CI", {}],
      ["token.rotated", "CI", { overlap_ends_at: endsAt }],
      ["token.rotation_finished", "CI", {}],
      ["token.rotated", "CI", { overlap_ends_at: new Date(clock.nowMs).toISOString() }],
    ]);
    for (const secret of [old, ...made]) expect(JSON.stringify(events)).not.toContain(secret.slice(-8));
  });
});

describe.each(RPC_SURFACES)("through %s, a token's rotation", (name) => {
  let clock: TestClock;
  let test: TestApp;
  let surface: RpcSurface;
  let backend: { bearer: string };

  beforeAll(async () => {
    clock = new TestClock("2026-03-04T05:06:07.890Z");
    test = await startTestApp({ surroundings: { clock: () => clock.nowMs } });
    surface = openSurface(test.app, name);
    backend = { bearer: test.credentials.serviceKey };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  const issue = async (fields = {}) => {
    const request = { organizationId: test.credentials.organizationId, name: "CI", ...fields };
    const { token, secret } = expectOk(await surface.invoke(rpc.issue, request, backend));
    if (token === undefined) throw new Error("no token was issued");
    return { token, secret };
  };
  const rotate = async (id: string, overlapMs: number, idempotencyKey = "") => {
    const request = { id, overlap: durationFromMs(overlapMs), idempotencyKey };
    const { token, secret } = expectOk(await surface.invoke(rpc.rotate, request, backend));
    if (token === undefined) throw new Error("no token was rotated");
    return { token, secret };
  };
  const get = async (id: string) => {
    const { token } = expectOk(await surface.invoke(rpc.get, { id }, backend));
    const { tokens } = expectOk(
      await surface.invoke(
        rpc.list,
        { organizationId: test.credentials.organizationId, pageSize: 1000, states: [1, 2, 3, 4] },
        backend,
      ),
    );
    expect(tokens.find((one) => one.id === id)).toEqual(token);
    return token;
  };
  const rotationOf = (token: Token | undefined) => {
    const { startedAt, overlapEndsAt, previousHint, previousLastUsedAt } = token?.rotation ?? {};
    const ms = (time: typeof startedAt) => time && timestampDate(time).getTime();
    return token?.rotation && [ms(startedAt), ms(overlapEndsAt), previousHint, ms(previousLastUsedAt)];
  };

  it("shows when it was, until when the old secret works, and which one that is", async () => {
    const { token, secret: old } = await issue();
    expect(token.rotation).toBeUndefined();
    const startedAt = clock.nowMs;
    const rotated = await rotate(token.id, DAY);
    expect(rotationOf(rotated.token)).toEqual([startedAt, startedAt + DAY, `wp_…${old.slice(-4)}`, undefined]);
    expect(rotated.token).toMatchObject({ hint: `wp_…${rotated.secret.slice(-4)}`, state: TokenState.ACTIVE });
    expect(rotated.token.revision).toBeGreaterThan(token.revision);
    const unchanged = { rotation: undefined, hint: "", revision: 0n };
    expect({ ...rotated.token, ...unchanged }).toEqual({ ...token, ...unchanged });
    expect(await get(token.id)).toEqual(rotated.token);

    clock.advance(SECOND);
    const finished = expectOk(await surface.invoke(rpc.finishRotation, { id: token.id }, backend)).token;
    expect(rotationOf(finished)).toEqual([startedAt, startedAt + SECOND, `wp_…${old.slice(-4)}`, undefined]);
    // What was is still to be seen when it is over.
    clock.advance(DAY);
    expect(await get(token.id)).toEqual(finished);
    const again = await rotate(token.id, 0);
    expect(rotationOf(again.token)).toEqual([clock.nowMs, clock.nowMs, finished?.hint, undefined]);
  });

  it("is gone when it was cancelled", async () => {
    const { token } = await issue();
    await rotate(token.id, DAY);
    const { token: cancelled } = expectOk(await surface.invoke(rpc.cancelRotation, { id: token.id }, backend));
    expect({ ...cancelled, revision: 0n }).toEqual({ ...token, revision: 0n });
    expect(await get(token.id)).toEqual(cancelled);
  });

  it("shows when the old secret was last used since", async () => {
    const { token, secret: old } = await issue();
    const { id } = token;
    const use = async (secret: string) => {
      clock.advance(SECOND);
      expectOk(await surface.introspect(backend, { token: secret }));
      return clock.nowMs;
    };
    const seen = async () => {
      await test.app.usage.flush();
      const stored = await get(id);
      const lastUsed = stored?.lastUsedAt && timestampDate(stored.lastUsedAt).getTime();
      return [lastUsed, rotationOf(stored)?.[3]];
    };
    await use(old);
    clock.advance(SECOND);
    const { secret } = await rotate(id, MINUTE);
    // Written down after the rotation, it was before.
    expect((await seen())[1]).toBeUndefined();
    const first = await use(old);
    const second = await use(secret);
    expect(await seen()).toEqual([second, first]);
    expectOk(await surface.introspect(backend, { token: old, dryRun: true }));
    expect(await seen()).toEqual([second, first]);
    clock.advance(SECOND);
    expectOk(await surface.invoke(rpc.getSelf, {}, { apiKey: old }));
    expect(await seen()).toEqual([clock.nowMs, clock.nowMs]);
    const last = clock.nowMs;
    expectOk(await surface.invoke(rpc.finishRotation, { id }, backend));
    const ended = await use(old);
    expect(ended).toBeGreaterThan(last);
    expect(await seen()).toEqual([last, last]);
  });

  /** A token that expires in a minute. */
  const issueExpiring = async () => {
    const expiresAt = timestampFromMs(clock.nowMs + MINUTE);
    const organizationId = await test.addOrganization("walwarden");
    return issue({ organizationId, expiresAt, idempotencyKey: randomUUID() });
  };

  it("doesn't reach beyond the token's expiry, nor move it", async () => {
    const expiresAtMs = clock.nowMs + MINUTE;
    const { token, secret: old } = await issueExpiring();
    const rotated = await rotate(token.id, DAY, randomUUID());
    expect(rotationOf(rotated.token)?.[1]).toBe(expiresAtMs);
    expect(rotated.token.expiresAt).toEqual(token.expiresAt);
    for (const isActive of [true, false]) {
      for (const secret of [old, rotated.secret]) {
        expect(expectOk(await surface.introspect(backend, { token: secret })).active).toBe(isActive);
      }
      clock.advance(MINUTE);
    }
    const request = { id: token.id, idempotencyKey: randomUUID() };
    expect(await surface.invoke(rpc.rotate, request, backend)).toEqual({
      ok: false,
      code: "FAILED_PRECONDITION",
      message: "A token that is expired can't be rotated. Issue a new one.",
    });
  });

  it("is told to a repeated call as it was, also when the token has expired since", async () => {
    const { token } = await issueExpiring();
    const [rotateKey, finishKey, cancelKey] = [randomUUID(), randomUUID(), randomUUID()];
    const rotateOnce = () => rotate(token.id, DAY, rotateKey);
    const end = async (method: typeof rpc.finishRotation | typeof rpc.cancelRotation, idempotencyKey: string) =>
      expectOk(await surface.invoke(method, { id: token.id, idempotencyKey }, backend)).token;
    const rotated = await rotateOnce();
    const cancelled = await end(rpc.cancelRotation, cancelKey);
    await rotate(token.id, DAY, randomUUID());
    const finished = await end(rpc.finishRotation, finishKey);
    clock.advance(MINUTE);
    expect(await rotateOnce()).toEqual(rotated);
    expect(await end(rpc.cancelRotation, cancelKey)).toEqual(cancelled);
    expect(await end(rpc.finishRotation, finishKey)).toEqual(finished);
  });

  it("is the same for a repeated call, its secret included, whatever became of it", async () => {
    const { token } = await issue();
    const { id } = token;
    const idempotencyKey = randomUUID();
    const first = await rotate(id, DAY, idempotencyKey);
    expect(await rotate(id, DAY, idempotencyKey)).toEqual(first);
    const finishKey = randomUUID();
    const finish = async () =>
      expectOk(await surface.invoke(rpc.finishRotation, { id, idempotencyKey: finishKey }, backend));
    const finished = await finish();
    const second = await rotate(id, DAY);
    const cancelKey = randomUUID();
    const cancel = async () =>
      expectOk(await surface.invoke(rpc.cancelRotation, { id, idempotencyKey: cancelKey }, backend));
    const cancelled = await cancel();
    expect(cancelled.token?.hint).toBe(first.token.hint);
    expectOk(await surface.invoke(rpc.revoke, { id }, backend));
    clock.advance(SECOND);
    expect(await rotate(id, DAY, idempotencyKey)).toEqual(first);
    expect(await finish()).toEqual(finished);
    expect(await cancel()).toEqual(cancelled);
    expect(second.secret).not.toBe(first.secret);
    const another: { id: string; overlap: Duration; idempotencyKey: string } = {
      id,
      overlap: durationFromMs(HOUR),
      idempotencyKey,
    };
    expect(await surface.invoke(rpc.rotate, another, backend)).toMatchObject({ code: "ALREADY_EXISTS" });
    const events = await test.app.deployment.storage.listEvents(everyEvent({ target: id }));
    expect(events.map(({ action }) => action)).toEqual([
      "token.issued",
      "token.rotated",
      "token.rotation_finished",
      "token.rotated",
      "token.rotation_cancelled",
      "token.revoked",
    ]);
  });

  it("is made once by many who repeat one call at once, and by one of many who don't", async () => {
    const [one, other] = [await issue(), await issue()];
    const idempotencyKey = randomUUID();
    const same = await Promise.all(Array.from({ length: 8 }, () => rotate(one.token.id, 0, idempotencyKey)));
    expect(new Set(same.map(({ secret }) => secret)).size).toBe(1);

    const request = { id: other.token.id };
    const answers = await Promise.all(Array.from({ length: 8 }, () => surface.invoke(rpc.rotate, request, backend)));
    const made = answers.flatMap((answer) => (answer.ok ? [answer.value.secret] : []));
    for (const answer of answers) {
      if (!answer.ok) expect(answer.code).toBe("FAILED_PRECONDITION");
    }
    // Whoever comes after another one's answer may rotate again, so it isn't always one.
    const works = await Promise.all(
      made.map(async (secret) => expectOk(await surface.introspect(backend, { token: secret })).active),
    );
    expect(works.filter(Boolean)).toHaveLength(1);
    const events = await test.app.deployment.storage.listEvents(
      everyEvent({ target: other.token.id, actions: ["token.rotated"] }),
    );
    expect(events).toHaveLength(made.length);
  });
});

it("refuses a rotation of a token that somebody changes at the same time", async () => {
  let meanwhile: (() => Promise<unknown>) | undefined;
  const aroundStorage = (storage: Storage): Storage =>
    new Proxy(storage, {
      get(target, property, receiver) {
        const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
        if (property !== "rotateToken") return method;
        return async (...args: unknown[]) => {
          const first = meanwhile;
          meanwhile = undefined;
          await first?.();
          return method(...args);
        };
      },
    });
  await using test = await startTestApp({ surroundings: { aroundStorage } });
  const surface = openSurface(test.app, "grpc");
  const backend = { bearer: test.credentials.serviceKey };
  const { organizationId } = test.credentials;
  const { id } = expectOk(await surface.issue(backend, { organizationId, name: "CI" }));
  let theirs = "";
  meanwhile = async () => {
    theirs = expectOk(await surface.rotate(backend, id)).secret;
  };
  expect(await surface.rotate(backend, id)).toEqual({
    ok: false,
    code: "FAILED_PRECONDITION",
    message: "The token was changed at the same time. Look at it again, then rotate it if it still needs it.",
  });
  expect(expectOk(await surface.introspect(backend, { token: theirs })).active).toBe(true);
  const stored = await test.app.deployment.storage.getToken(fromPublicId("tok", id) ?? "");
  expect(stored?.hint).toBe(`wp_…${theirs.slice(-4)}`);
  surface.close();
});
