/** Changes of one token at once: none undoes, without knowing of it, what another has taken away. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Token, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { faults } from "../contract/broken-storages.ts";
import { everyEvent } from "../contract/samples.ts";
import {
  type Credential,
  expectOk,
  type Outcome,
  openSurface,
  RPC_SURFACES,
  type RpcSurface,
} from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { issue, get, update, revoke } = TokenService.method;

const DENIED = "Only an owner or an admin of the organization can let an API token do more: ";

type Update = Storage["updateToken"];

/** Puts something else in the place of the write that a use case has decided on. */
function replaceUpdate(storage: Storage, replacement: (write: Update) => Update): Storage {
  const updateToken = replacement(storage.updateToken.bind(storage));
  return new Proxy(storage, {
    get(target, property, receiver) {
      if (property === "updateToken") return updateToken;
      return (Reflect.get(target, property, receiver) as () => unknown).bind(target);
    },
  });
}

/** A product whose members manage tokens, and where a token may look or do everything. */
class Scene implements AsyncDisposable {
  readonly test: TestApp;
  readonly surface: RpcSurface;
  readonly admin: Credential;
  readonly member: Credential;

  private constructor(test: TestApp, admin: Credential, member: Credential) {
    this.test = test;
    this.surface = openSurface(test.app, "grpc");
    this.admin = admin;
    this.member = member;
  }

  static async open(aroundStorage: (storage: Storage) => Storage = (storage) => storage): Promise<Scene> {
    const test = await startTestApp({ env: { LATCHKEY_PROFILE: "watchmantower" }, surroundings: { aroundStorage } });
    const { adminEmail: email, adminPassword: password } = test.credentials;
    const admin = { bearer: await test.signIn({ email, password }) };
    return new Scene(test, admin, { bearer: await test.signIn(await test.addMember("member")) });
  }

  async addToken(): Promise<Token> {
    const answer = await this.surface.invoke(issue, { name: "as issued", permission: "full" }, this.admin);
    const { token } = expectOk(answer);
    if (token === undefined) throw new Error("no token was issued");
    return token;
  }

  async token(id: string): Promise<Token | undefined> {
    return expectOk(await this.surface.invoke(get, { id }, this.admin)).token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.surface.close();
    await this.test[Symbol.asyncDispose]();
  }
}

describe("a change that somebody else's change overtakes", () => {
  let meanwhile: (() => Promise<unknown>) | undefined;
  /** Lets the other change happen once, after the use case has decided and before it writes. */
  const overtaken = (storage: Storage): Storage =>
    replaceUpdate(storage, (write) => async (...call) => {
      const other = meanwhile;
      meanwhile = undefined;
      await other?.();
      return write(...call);
    });

  /** A member keeps a token as wide as they see it, while an admin narrows it. */
  async function narrowedMeanwhile({ surface, admin, member }: Scene, id: string): Promise<Outcome<unknown>> {
    meanwhile = async () => expectOk(await surface.invoke(update, { id, permission: "read-only" }, admin));
    return surface.invoke(update, { id, permission: "full", name: "by a member" }, member);
  }

  it("would widen what was narrowed if the store made it whatever the revision", async () => {
    await using scene = await Scene.open((storage) => overtaken(faults.updatesWhateverIsThere(storage)));
    const { id } = await scene.addToken();
    expectOk(await narrowedMeanwhile(scene, id));
    expect(await scene.token(id)).toMatchObject({ permission: "full", name: "by a member" });
  });

  it("is refused where it would widen what was narrowed", async () => {
    await using scene = await Scene.open(overtaken);
    const { id } = await scene.addToken();
    const answer = await narrowedMeanwhile(scene, id);
    const refusal = { ok: false, code: "PERMISSION_DENIED", message: expect.stringContaining(DENIED) as string };
    expect(answer).toEqual(refusal);
    expect(await scene.token(id)).toMatchObject({ permission: "read-only", name: "as issued" });
  });

  it("is made on top of it where that is allowed", async () => {
    await using scene = await Scene.open(overtaken);
    const { surface, admin, member } = scene;
    const { id } = await scene.addToken();
    meanwhile = () => surface.invoke(update, { id, permission: "read-only", metadata: { by: "admin" } }, admin);
    expectOk(await surface.invoke(update, { id, name: "by a member" }, member));
    expect(await scene.token(id)).toMatchObject({
      permission: "read-only",
      name: "by a member",
      metadata: { by: "admin" },
    });
  });

  it("doesn't change, or switch on, what was revoked", async () => {
    await using scene = await Scene.open(overtaken);
    const { surface, admin } = scene;
    const { id } = await scene.addToken();
    meanwhile = () => surface.invoke(revoke, { id }, admin);
    expect(await surface.invoke(update, { id, enabled: true, name: "back" }, admin)).toEqual({
      ok: false,
      code: "FAILED_PRECONDITION",
      message: "A revoked token can't be changed.",
    });
    expect(await scene.token(id)).toMatchObject({ state: TokenState.REVOKED, name: "as issued" });
  });

  it("is recorded once for its idempotency key, with the answer to what was made", async () => {
    await using scene = await Scene.open(overtaken);
    const { surface, admin } = scene;
    const { id } = await scene.addToken();
    const request = { id, name: "once", idempotencyKey: "k" };
    meanwhile = () => surface.invoke(update, { id, permission: "read-only" }, admin);
    const first = expectOk(await surface.invoke(update, request, admin));
    expect(first.token).toMatchObject({ name: "once", permission: "read-only" });
    expectOk(await surface.invoke(update, { id, name: "another" }, admin));
    expect(expectOk(await surface.invoke(update, request, admin))).toEqual(first);
    expect(await scene.token(id)).toMatchObject({ name: "another" });
  });

  it("gives up when that never ends", async () => {
    let tries = 0;
    await using scene = await Scene.open((storage) =>
      replaceUpdate(storage, () => async () => {
        tries++;
        return undefined;
      }),
    );
    const { id } = await scene.addToken();
    const message = "Others are changing the token at the moment. Try again.";
    const refusal = { ok: false, code: "UNAVAILABLE", message };
    expect(await scene.surface.invoke(update, { id, name: "new" }, scene.admin)).toEqual(refusal);
    expect(tries).toBe(20);
  });
});

const ROUNDS = 30;

/** In each round members write a wide token back, by every protocol, while an admin narrows it. */
async function storm(scene: Scene): Promise<{ readonly widened: number; readonly afterNarrowing: number }> {
  const { test, admin, member } = scene;
  const doors = RPC_SURFACES.map((name) => openSurface(test.app, name));
  let widened = 0;
  let afterNarrowing = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const { id, organizationId } = await scene.addToken();
    const calls = [...doors, ...doors, ...doors].map(
      (door, index) => () => door.update(member, id, { name: `${index}`, permission: "full" }),
    );
    const narrow = () => scene.surface.update(admin, id, { permission: "read-only" });
    const place = round % calls.length;
    const answers = await Promise.all(calls.toSpliced(place, 0, narrow).map((call) => call()));
    expect(answers[place]?.ok).toBe(true);
    for (const answer of answers) if (!answer.ok) expect(answer.message).toContain(DENIED);
    if ((await scene.token(id))?.permission !== "read-only") widened++;
    const events = await test.app.deployment.storage.listEvents(
      everyEvent({ organizationId: fromPublicId("org", organizationId), target: id }),
    );
    const narrowing = events.findIndex(({ details }) => details["permission"] === "read-only");
    afterNarrowing += events.slice(narrowing + 1).length;
  }
  for (const door of doors) door.close();
  return { widened, afterNarrowing };
}

describe(`of ${ROUNDS} tokens that members write back while an admin narrows them`, () => {
  it("some would end up wide if the store made changes whatever the revision", async () => {
    await using scene = await Scene.open(faults.updatesWhateverIsThere);
    expect((await storm(scene)).widened).toBeGreaterThan(0);
  });

  it("none ends up wide, and none is changed by a member after it was narrowed", async () => {
    await using scene = await Scene.open();
    expect(await storm(scene)).toEqual({ widened: 0, afterNarrowing: 0 });
  });
});

describe("many changes at once", () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await Scene.open();
  });

  afterAll(() => scene[Symbol.asyncDispose]());

  it("are all made, each on top of the one before", async () => {
    const { id, revision } = await scene.addToken();
    const fields = [
      { name: "new" },
      { permission: "read-only" },
      { metadata: { a: "b" } },
      { enabled: false },
      { expiresAt: { seconds: 4_000_000_000n, nanos: 0 } },
    ];
    const answers = await Promise.all(fields.map((each) => scene.surface.invoke(update, { id, ...each }, scene.admin)));
    const revisions = answers.map((answer) => expectOk(answer).token?.revision ?? 0n);
    expect(new Set([revision, ...revisions]).size).toBe(fields.length + 1);
    const token = await scene.token(id);
    expect(token).toMatchObject({
      name: "new",
      permission: "read-only",
      metadata: { a: "b" },
      state: TokenState.DISABLED,
      revision: revisions.toSorted((one, other) => Number(one - other)).at(-1),
    });
    expect(token?.expiresAt?.seconds).toBe(4_000_000_000n);
  });
});
