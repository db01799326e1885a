/** How people come into an organization, with and without a mail server. */
import { describe, expect, it } from "vitest";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { Mailbox } from "../helpers/mailbox.ts";
import { expectOk, openSurface, RPC_SURFACES, SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { method: rpc } = OrganizationService;
const PASSWORD = "difference engine";
const EMAIL = "ada@example.com";
const DEAD = { code: "INVALID_ARGUMENT", message: "token: is used up, too old, or never was: ask for another link" };

const credentialFor = (test: TestApp, name: SurfaceName) =>
  name === "grpc" ? { bearer: test.credentials.serviceKey } : {};

/** An owner of the first organization, and the calls that they make over Connect. */
async function openOwner(test: TestApp) {
  const surface = openSurface(test.app, "connect-json");
  const owner = await test.addMember("owner");
  const credential = { bearer: await test.signIn(owner) };
  return {
    owner,
    credential,
    surface,
    invite: (email: string, role: Role = Role.MEMBER, fields: { idempotencyKey?: string } = {}) =>
      surface.invoke(rpc.inviteMember, { email, role, ...fields }, credential),
    add: (email: string) => surface.invoke(rpc.addMember, { email, role: Role.MEMBER }, credential),
    roleOf: async (email: string): Promise<Role | undefined> => {
      const { members } = expectOk(await surface.invoke(rpc.listMembers, {}, credential));
      return members.find(({ user }) => user?.email === email)?.role;
    },
  };
}

describe.each(SURFACES)("an invitation by mail through %s", (name) => {
  it("makes somebody a member who has no account, once", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const { invite, roleOf } = await openOwner(test);
    const made = expectOk(await invite(EMAIL.toUpperCase(), Role.ADMIN));
    expect(made).toMatchObject({ invitation: { email: EMAIL, role: Role.ADMIN }, token: "", link: "" });
    await test.app.outbox?.settled();
    expect(mailbox.mails[0]?.to).toEqual([EMAIL]);
    const { token } = mailbox;
    expect(mailbox.mails[0]?.text).toContain(`https://keys.acme.example/accept-invitation#token=${token}`);

    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const accept = (password: string) => surface.account(credential, "acceptInvitation", { token, password });
    expect(await accept("ninechars")).toMatchObject({ message: "password: must have at least 10 characters" });
    expect(expectOk(await accept(PASSWORD))).toMatchObject({ organizationId: test.credentials.organizationId });
    expect(await accept(PASSWORD)).toMatchObject(DEAD);
    expect(await roleOf(EMAIL)).toBe(Role.ADMIN);
    const { accessToken } = expectOk(await surface.login(credential, EMAIL, PASSWORD));
    expectOk(await surface.issue({ bearer: accessToken }, { name: "first" }));
    surface.close();
  });

  it("is joined by somebody who has an account, and by nobody else", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const { invite, roleOf } = await openOwner(test);
    const person = await test.addMember("owner", await test.addOrganization());
    const stranger = await test.addMember("owner", await test.addOrganization());
    expectOk(await invite(person.email));
    await test.app.outbox?.settled();
    const { token } = mailbox;
    const surface = openSurface(test.app, name);
    const join = (bearer: string | undefined) =>
      surface.account(bearer === undefined ? {} : { bearer }, "joinOrganization", { token });
    expect(await join(undefined)).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await join(test.credentials.serviceKey)).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await join(await test.signIn(stranger))).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await roleOf(person.email)).toBeUndefined();
    expectOk(await join(await test.signIn(person)));
    expect(await roleOf(person.email)).toBe(Role.MEMBER);
    expect(await join(await test.signIn(person))).toMatchObject(DEAD);
    surface.close();
  });
});

describe("an account that somebody else made", () => {
  it("is taken from them by the mailed invitation, and can't be added before that", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const { invite, add, roleOf } = await openOwner(test);
    const rest = openSurface(test.app, "rest");
    const squat = { email: EMAIL, password: "the squatter's own", organizationName: "Squat" };
    expectOk(await rest.account({}, "register", squat));
    const squatter = expectOk(await rest.login({}, EMAIL, squat.password));

    expect(await add(EMAIL)).toEqual({
      ok: false,
      code: "FAILED_PRECONDITION",
      message: "This person has an account whose address isn't confirmed: invite them instead.",
    });
    expect(await roleOf(EMAIL)).toBeUndefined();
    expectOk(await invite(EMAIL));
    await test.app.outbox?.settled();
    const { token } = mailbox;
    expectOk(await rest.account({}, "acceptInvitation", { token, password: PASSWORD }));
    expect(await rest.list({ bearer: squatter.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await rest.login({}, EMAIL, squat.password)).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await rest.login({}, EMAIL, PASSWORD));
    expect(await roleOf(EMAIL)).toBe(Role.MEMBER);
  });

  it("opens no other organization to an admin who was told its first password", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const first = await openOwner(test);
    const { initialPassword } = expectOk(await first.add(EMAIL));
    const elsewhere = await test.addOrganization();
    const other = await test.addMember("owner", elsewhere);
    const credential = { bearer: await test.signIn(other) };
    const added = { email: EMAIL, role: Role.OWNER };
    const refusal = { code: "FAILED_PRECONDITION" };
    expect(await first.surface.invoke(rpc.addMember, added, credential)).toMatchObject(refusal);
    const ownKey = { bearer: await test.addServiceKey(["organizations:write"], elsewhere) };
    expect(await first.surface.invoke(rpc.addMember, added, ownKey)).toMatchObject(refusal);

    expectOk(await first.surface.invoke(rpc.inviteMember, added, credential));
    await test.app.outbox?.settled();
    const rest = openSurface(test.app, "rest");
    const { token } = mailbox;
    expectOk(await rest.account({}, "acceptInvitation", { token, password: PASSWORD }));
    expect(await rest.login({}, EMAIL, initialPassword)).toMatchObject({ code: "UNAUTHENTICATED" });
    // From now on it is certain whose the account is.
    const third = await test.addMember("owner", await test.addOrganization());
    expectOk(await first.surface.invoke(rpc.addMember, added, { bearer: await test.signIn(third) }));
  });
});

describe("without a mail server", () => {
  it("the link is the inviter's to hand over, and proves no mailbox", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_PUBLIC_URL: "https://keys.acme.example" } });
    const { invite, add, roleOf } = await openOwner(test);
    const { token, link } = expectOk(await invite(EMAIL));
    expect(link).toBe(`https://keys.acme.example/accept-invitation#token=${token}`);
    const rest = openSurface(test.app, "rest");
    expectOk(await rest.account({}, "acceptInvitation", { token, password: PASSWORD }));
    expect(await roleOf(EMAIL)).toBe(Role.MEMBER);

    // Whoever holds such a link takes nobody's account.
    const person = await test.addMember("member", await test.addOrganization());
    const second = expectOk(await invite(person.email));
    const taking = { token: second.token, password: PASSWORD };
    expect(await rest.account({}, "acceptInvitation", taking)).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "You have an account with this address: sign in, and join with it.",
    });
    expectOk(await rest.login({}, person.email, person.password));
    expectOk(await rest.account({ bearer: await test.signIn(person) }, "joinOrganization", { token: second.token }));
    expect(await roleOf(person.email)).toBe(Role.MEMBER);
    expect(await add(EMAIL)).toMatchObject({ code: "ALREADY_EXISTS" });
  });

  it("a retry gets the same link, which is nowhere in the log", async () => {
    await using test = await startTestApp();
    const { invite } = await openOwner(test);
    const first = expectOk(await invite(EMAIL, Role.MEMBER, { idempotencyKey: "once" }));
    expect(expectOk(await invite(EMAIL, Role.MEMBER, { idempotencyKey: "once" }))).toEqual(first);
    expect(first.token).toMatch(/^lkl_/);
    expect(first.link).toBe("");
    expect(test.logLines.join("")).not.toContain(first.token.slice(4));
  });
});

describe.each(RPC_SURFACES)("managing invitations through %s", (name) => {
  it("lists and revokes those of one's own organization, as an owner or admin", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using test = await startTestApp({ surroundings: { clock: () => nowMs } });
    const { invite, credential } = await openOwner(test);
    const surface = openSurface(test.app, name);
    const { invitation, token } = expectOk(await invite(EMAIL));
    const list = async (bearer = credential.bearer) => surface.invoke(rpc.listInvitations, {}, { bearer });
    expect(expectOk(await list()).invitations).toEqual([invitation]);

    const stranger = await test.signIn(await test.addMember("owner", await test.addOrganization()));
    expect(expectOk(await list(stranger)).invitations).toEqual([]);
    const member = await test.signIn(await test.addMember("member"));
    const revoke = (bearer: string) => surface.invoke(rpc.revokeInvitation, { id: invitation?.id ?? "" }, { bearer });
    for (const refused of [
      await list(member),
      await revoke(member),
      await surface.invoke(rpc.inviteMember, { email: EMAIL, role: Role.MEMBER }, { bearer: member }),
    ]) {
      expect(refused).toMatchObject({ code: "PERMISSION_DENIED" });
    }
    const admin = await test.signIn(await test.addMember("admin"));
    const asOwner = { email: EMAIL, role: Role.OWNER };
    expect(await surface.invoke(rpc.inviteMember, asOwner, { bearer: admin })).toMatchObject({
      code: "PERMISSION_DENIED",
    });
    expect(await revoke(stranger)).toMatchObject({ code: "NOT_FOUND" });
    expectOk(await revoke(admin));
    expect(await revoke(admin)).toMatchObject({ code: "NOT_FOUND" });
    const rest = openSurface(test.app, "rest");
    expect(await rest.account({}, "acceptInvitation", { token, password: PASSWORD })).toMatchObject(DEAD);

    const { token: second } = expectOk(await invite(EMAIL));
    nowMs += 7 * 24 * 3_600_000;
    expect(await rest.account({}, "acceptInvitation", { token: second, password: PASSWORD })).toMatchObject(DEAD);
    surface.close();
  });
});
