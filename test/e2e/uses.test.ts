/** What is known of a token's use, through every protocol: when, from where, and how often on which day. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { dateOf, dayOf } from "../../src/domain/daily-uses.ts";
import { expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const DAY_MS = 86_400_000;
const START = Date.parse("2026-03-01T23:59:58Z");

describe.each(RPC_SURFACES)("through %s", (name) => {
  let test: TestApp;
  let surface: RpcSurface;
  let backend: { bearer: string };
  let admin: { bearer: string };
  let nowMs = START;

  beforeAll(async () => {
    test = await startTestApp({ surroundings: { clock: () => nowMs } });
    surface = openSurface(test.app, name);
    backend = { bearer: test.credentials.serviceKey };
  });

  beforeEach(async () => {
    nowMs += 400 * DAY_MS;
    const { adminEmail: email, adminPassword: password } = test.credentials;
    admin = { bearer: await test.signIn({ email, password }) };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  const read = async (id: string) => {
    await test.app.usage.flush();
    const { token, dailyUses } = expectOk(await surface.invoke(TokenService.method.get, { id }, admin));
    const list = expectOk(await surface.invoke(TokenService.method.list, { includeUses: true }, admin));
    // The list says the same.
    expect(list.uses[list.tokens.findIndex((one) => one.id === id)]?.dailyUses).toEqual(dailyUses);
    return { address: token?.lastUsedAddress, uses: dailyUses.map(({ date, count }) => [date, Number(count)]) };
  };

  it("counts introspections of an active token by day in UTC, with the client's address", async () => {
    const { id, secret } = expectOk(await surface.issue(admin, { name: "counted" }));
    const today = dateOf(dayOf(nowMs));
    const tomorrow = dateOf(dayOf(nowMs) + 1);
    expect(await read(id)).toEqual({ address: "", uses: [] });
    const ask = async (fields: object) => expectOk(await surface.introspect(backend, { token: secret, ...fields }));
    await ask({ clientIp: "192.0.2.7" });
    await ask({ clientIp: "2001:DB8::1" });
    await ask({ clientIp: "192.0.2.9", dryRun: true });
    expect(await read(id)).toEqual({ address: "2001:db8::1", uses: [[today, 2]] });
    nowMs += 3_000;
    expectOk(await surface.batchIntrospect(backend, [secret, secret]));
    // What isn't known of the last use is not told of another one.
    expect(await read(id)).toEqual({
      address: "",
      uses: [
        [today, 2],
        [tomorrow, 2],
      ],
    });
    // A token that isn't allowed something is still used; one that isn't active is not.
    await ask({ requiredScopes: ["no such scope"] });
    expectOk(await surface.update(admin, id, { enabled: false }));
    await ask({ clientIp: "192.0.2.9" });
    expect(await read(id)).toEqual({
      address: "",
      uses: [
        [today, 2],
        [tomorrow, 3],
      ],
    });
  });

  it("counts calls that a token is the credential of, with the peer's address", async () => {
    const { id, secret } = expectOk(await surface.issue(admin, { name: "caller" }));
    for (const _ of [1, 2]) expectOk(await surface.invoke(TokenService.method.getSelf, {}, { apiKey: secret }));
    expect(await read(id)).toEqual({ address: "127.0.0.1", uses: [[dateOf(dayOf(nowMs)), 2]] });
    const { tokens } = expectOk(await surface.invoke(TokenService.method.list, {}, admin));
    expect(tokens.find((token) => token.id === id)?.lastUsedAddress).toBe("127.0.0.1");
  });

  it("shows the last 90 days, today among them", async () => {
    const { id, secret } = expectOk(await surface.issue(backend, issueIn(test)));
    const first = dayOf(nowMs);
    for (const age of [0, 1, 89, 1]) {
      nowMs += age * DAY_MS;
      expectOk(await surface.introspect(backend, { token: secret }));
    }
    const signIn = test.signIn({ email: test.credentials.adminEmail, password: test.credentials.adminPassword });
    admin = { bearer: await signIn };
    expect((await read(id)).uses).toEqual([
      [dateOf(first + 90), 1],
      [dateOf(first + 91), 1],
    ]);
    // Days that the clock hasn't come to aren't among them.
    nowMs -= 2 * DAY_MS;
    const before = expectOk(await surface.invoke(TokenService.method.get, { id }, backend)).dailyUses;
    expect(before.map(({ date }) => date)).toEqual([dateOf(first), dateOf(first + 1)]);
  });

  it("leaves uses out of a list that doesn't ask for them", async () => {
    expect(expectOk(await surface.invoke(TokenService.method.list, {}, admin)).uses).toEqual([]);
  });

  it("tells another organization nothing", async () => {
    const { id, secret } = expectOk(await surface.issue(admin, { name: "ours" }));
    expectOk(await surface.introspect(backend, { token: secret, clientIp: "192.0.2.7" }));
    await test.app.usage.flush();
    const other = await test.addOrganization();
    const theirs = { bearer: await test.addServiceKey(["tokens:read", "introspect"], other) };
    expect(await surface.invoke(TokenService.method.get, { id }, theirs)).toMatchObject({ code: "NOT_FOUND" });
    // What they ask of our token is no use of it.
    expectOk(await surface.introspect(theirs, { token: secret, clientIp: "192.0.2.8" }));
    expect(await read(id)).toEqual({ address: "192.0.2.7", uses: [[dateOf(dayOf(nowMs)), 1]] });
  });
});

describe("the service", () => {
  it("writes what has gathered when it stops, and no change of the token", async () => {
    const written: object[] = [];
    await using test = await startTestApp({
      surroundings: {
        aroundStorage: (storage) =>
          new Proxy(storage, {
            get: (target, property: keyof typeof storage) =>
              property === "recordUses"
                ? async (uses: Parameters<typeof storage.recordUses>[0]) => {
                    const before = await target.latestRevision();
                    await target.recordUses(uses);
                    expect(await target.latestRevision()).toBe(before);
                    written.push(...uses);
                  }
                : (target[property] as () => unknown).bind(target),
          }),
      },
    });
    const surface = openSurface(test.app, "grpc");
    const backend = { bearer: test.credentials.serviceKey };
    const { id, secret } = expectOk(await surface.issue(backend, issueIn(test)));
    expect(id).toMatch(/^tok_/);
    await test.app.usage.flush();
    written.length = 0;
    for (const _ of [1, 2, 3]) {
      expectOk(await surface.introspect(backend, { token: secret, clientIp: "192.0.2.7" }));
    }
    surface.close();
    await test.app.stop();
    const ofToken = { secret: "current", address: "192.0.2.7" };
    const counts = written
      .filter((use) => Object.entries(ofToken).every(([key, value]) => use[key as keyof typeof use] === value))
      .flatMap((use) => (use as { daily: { uses: number }[] }).daily.map(({ uses }) => uses));
    expect(counts.reduce((sum, uses) => sum + uses, 0)).toBe(3);
  });
});

function issueIn({ credentials: { organizationId } }: TestApp) {
  return { organizationId, name: "long-lived" };
}
