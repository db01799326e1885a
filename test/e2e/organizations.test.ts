/** What OrganizationService promises, through every RPC protocol. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Organization, OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { fromPublicId, SYSTEM_ORGANIZATION_ID, toPublicId } from "../../src/domain/ids.ts";
import type { Role as RoleName } from "../../src/domain/roles.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";
import { type Person, startTestApp, type TestApp } from "../helpers/test-app.ts";

const rpc = OrganizationService.method;

const NO_ORGANIZATION = { ok: false, code: "NOT_FOUND", message: "No such organization." };
const NO_MEMBER = { ok: false, code: "NOT_FOUND", message: "No such member." };
const API_TOKEN_REFUSED = {
  ok: false,
  code: "PERMISSION_DENIED",
  message: expect.stringMatching(
    /^An API token can't do this: sign in, or use a service key with the scope /,
  ) as string,
};
const VENDOR_ONLY = {
  ok: false,
  code: "PERMISSION_DENIED",
  message: "This call needs a service key with the scope organizations:write.",
};
const MANAGERS_ONLY = {
  ok: false,
  code: "PERMISSION_DENIED",
  message: "Only an owner or an admin of the organization can manage its members.",
};
const OWNERS_ONLY = {
  ok: false,
  code: "PERMISSION_DENIED",
  message: "Only an owner of the organization can make, change or remove an owner.",
};

const lacks = (scope: string) => ({
  ok: false,
  code: "PERMISSION_DENIED",
  message: `The service key lacks the scope ${scope}.`,
});
const invalid = (message: string) => ({ ok: false, code: "INVALID_ARGUMENT", message });

/** A person who is signed in. */
interface SignedIn extends Person {
  readonly credential: Credential;
}

describe.each(RPC_SURFACES)("OrganizationService through %s", (name) => {
  let test: TestApp;
  let surface: RpcSurface;
  /** A service key of all organizations with every scope. */
  let vendor: Credential;
  let reader: Credential;
  let writer: Credential;

  beforeAll(async () => {
    test = await startTestApp();
    surface = openSurface(test.app, name);
    vendor = { bearer: test.credentials.serviceKey };
    reader = { bearer: await test.addServiceKey(["organizations:read"]) };
    writer = { bearer: await test.addServiceKey(["organizations:write"]) };
  });

  afterAll(async () => {
    surface.close();
    await test[Symbol.asyncDispose]();
  });

  async function makeOrganization(request: MessageInitShape<typeof rpc.create.input> = {}): Promise<Organization> {
    const { organization } = expectOk(await surface.invoke(rpc.create, { name: "Globex", ...request }, vendor));
    if (organization === undefined) throw new Error("there is no organization in the answer");
    return organization;
  }

  async function join(organizationId: string, role: RoleName): Promise<SignedIn> {
    const person = await test.addMember(role, organizationId);
    return { ...person, credential: { bearer: await test.signIn(person) } };
  }

  /** An API token of the organization, of a product that takes it in X-Api-Key. */
  async function apiToken(organizationId: string): Promise<Credential> {
    return { apiKey: expectOk(await surface.issue(vendor, { organizationId, name: "key" })).secret };
  }

  async function roles(organizationId: string): Promise<Record<string, Role>> {
    const { members } = expectOk(await surface.invoke(rpc.listMembers, { organizationId }, vendor));
    return Object.fromEntries(members.map(({ user, role }) => [user?.id ?? "", role]));
  }

  it("answers nobody without a credential", async () => {
    for (const method of OrganizationService.methods) {
      expect(await surface.invoke(method as typeof rpc.get, {}, {})).toMatchObject({ code: "UNAUTHENTICATED" });
    }
  });

  it("refuses API tokens, whatever they may do in their product", async () => {
    const { id } = await makeOrganization();
    const { userId } = await join(id, "member");
    const token = await apiToken(id);
    expect(await surface.invoke(rpc.create, { name: "x" }, token)).toEqual(VENDOR_ONLY);
    expect(await surface.invoke(rpc.list, {}, token)).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await surface.invoke(rpc.setPlan, { plan: "standard" }, token)).toEqual(VENDOR_ONLY);
    expect(await surface.invoke(rpc.setProfile, { profile: "plane" }, token)).toEqual(VENDOR_ONLY);
    expect(await surface.invoke(rpc.get, { id }, token)).toEqual(API_TOKEN_REFUSED);
    expect(await surface.invoke(rpc.listMembers, {}, token)).toEqual(API_TOKEN_REFUSED);
    const added = { email: "x@globex.example", role: Role.MEMBER };
    expect(await surface.invoke(rpc.addMember, added, token)).toEqual(API_TOKEN_REFUSED);
    expect(await surface.invoke(rpc.setMemberRole, { userId, role: Role.ADMIN }, token)).toEqual(API_TOKEN_REFUSED);
    expect(await surface.invoke(rpc.removeMember, { userId }, token)).toEqual(API_TOKEN_REFUSED);
  });

  it("holds a service key to its scopes", async () => {
    const { id: organizationId } = await makeOrganization();
    const { userId } = await join(organizationId, "member");
    const cannotRead = lacks("organizations:read");
    expect(await surface.invoke(rpc.get, { id: organizationId }, writer)).toEqual(cannotRead);
    expect(await surface.invoke(rpc.list, {}, writer)).toEqual(cannotRead);
    expect(await surface.invoke(rpc.listMembers, { organizationId }, writer)).toEqual(cannotRead);
    const cannotWrite = lacks("organizations:write");
    expect(await surface.invoke(rpc.create, { name: "x" }, reader)).toEqual(cannotWrite);
    expect(await surface.invoke(rpc.setPlan, { organizationId, plan: "standard" }, reader)).toEqual(cannotWrite);
    expect(await surface.invoke(rpc.setProfile, { organizationId, profile: "plane" }, reader)).toEqual(cannotWrite);
    const added = { organizationId, email: "x@globex.example", role: Role.MEMBER };
    expect(await surface.invoke(rpc.addMember, added, reader)).toEqual(cannotWrite);
    const changed = { organizationId, userId, role: Role.ADMIN };
    expect(await surface.invoke(rpc.setMemberRole, changed, reader)).toEqual(cannotWrite);
    expect(await surface.invoke(rpc.removeMember, { organizationId, userId }, reader)).toEqual(cannotWrite);
    // Nor does it tell such a key whether an organization exists.
    expect(await surface.invoke(rpc.get, { id: "org_nope" }, writer)).toEqual(cannotRead);
  });

  it("answers not found alike for an unknown, a malformed, a foreign and the system's organization", async () => {
    const { id: foreign } = await makeOrganization();
    const { id: own } = await makeOrganization();
    const owner = await join(own, "owner");
    const ownKey = { bearer: await test.addServiceKey(["organizations:read", "organizations:write"], own) };
    const system = [SYSTEM_ORGANIZATION_ID, toPublicId("org", SYSTEM_ORGANIZATION_ID)];
    const unknown = [`org_0${"1".repeat(25)}`, "nonsense", own.toUpperCase(), owner.userId, "x".repeat(900)];
    const { userId } = owner;
    for (const [credential, ids] of [
      [vendor, [...unknown, ...system]],
      [ownKey, [...unknown, ...system, foreign, fromPublicId("org", foreign) ?? ""]],
      [owner.credential, [...unknown, ...system, foreign, fromPublicId("org", foreign) ?? ""]],
    ] as const) {
      for (const organizationId of ids) {
        expect(await surface.invoke(rpc.get, { id: organizationId }, credential)).toEqual(NO_ORGANIZATION);
        expect(await surface.invoke(rpc.listMembers, { organizationId }, credential)).toEqual(NO_ORGANIZATION);
        const added = { organizationId, email: "x@globex.example", role: Role.MEMBER };
        expect(await surface.invoke(rpc.addMember, added, credential)).toEqual(NO_ORGANIZATION);
        const changed = { organizationId, userId, role: Role.ADMIN };
        expect(await surface.invoke(rpc.setMemberRole, changed, credential)).toEqual(NO_ORGANIZATION);
        expect(await surface.invoke(rpc.removeMember, { organizationId, userId }, credential)).toEqual(NO_ORGANIZATION);
        if (credential === owner.credential) continue;
        expect(await surface.invoke(rpc.setPlan, { organizationId, plan: "standard" }, credential)).toEqual(
          NO_ORGANIZATION,
        );
        const profiled = { organizationId, profile: "plane" };
        expect(await surface.invoke(rpc.setProfile, profiled, credential)).toEqual(NO_ORGANIZATION);
      }
    }
  });

  it("asks a service key of all organizations which one is meant", async () => {
    const message = "is required with a service key of all organizations";
    expect(await surface.invoke(rpc.get, {}, vendor)).toEqual(invalid(`id: ${message}`));
    expect(await surface.invoke(rpc.listMembers, {}, vendor)).toEqual(invalid(`organization_id: ${message}`));
    expect(await surface.invoke(rpc.setPlan, { plan: "standard" }, vendor)).toEqual(
      invalid(`organization_id: ${message}`),
    );
  });

  describe("Create", () => {
    it("makes an organization with the deployment's profile and its first plan, unless told otherwise", async () => {
      const before = Date.now();
      const plain = await makeOrganization({ name: "Initech 🏢" });
      expect(plain).toMatchObject({ name: "Initech 🏢", profile: "watchplane", plan: "standard" });
      expect(plain.id).toMatch(/^org_[0-9a-z]{26}$/);
      const createdAt = plain.createdAt === undefined ? 0 : timestampMs(plain.createdAt);
      expect(createdAt).toBeGreaterThanOrEqual(before);
      expect(createdAt).toBeLessThanOrEqual(Date.now());
      expect(expectOk(await surface.invoke(rpc.get, { id: plain.id }, reader)).organization).toEqual(plain);

      expect(await makeOrganization({ profile: "watchmantower" })).toMatchObject({
        profile: "watchmantower",
        plan: "free",
      });
      expect(await makeOrganization({ profile: "watchmantower", plan: "stack" })).toMatchObject({ plan: "stack" });
    });

    it("needs a service key of all organizations", async () => {
      const { id } = await makeOrganization();
      const owner = await join(id, "owner");
      expect(await surface.invoke(rpc.create, { name: "x" }, owner.credential)).toEqual(VENDOR_ONLY);
      const ownKey = { bearer: await test.addServiceKey(["organizations:write"], id) };
      expect(await surface.invoke(rpc.create, { name: "x" }, ownKey)).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "Making an organization needs a service key of all organizations.",
      });
    });

    it.each([
      ["no name", { name: "" }, "name: is required"],
      ["a blank name", { name: " " }, "name: must not hold control characters or be blank"],
      ["a long name", { name: "x".repeat(201) }, "name: must be at most 200 characters"],
      [
        "an unknown profile",
        { profile: "nope" },
        "profile: must be one of plane, walwarden, watchmantower, watchplane",
      ],
      [
        "the profile of service keys",
        { profile: "latchkey" },
        "profile: must be one of plane, walwarden, watchmantower, watchplane",
      ],
      ["an unknown plan", { plan: "gold" }, "plan: must be one of standard with the profile watchplane"],
      [
        "another profile's plan",
        { profile: "walwarden", plan: "solo" },
        "plan: must be one of team, free, enterprise with the profile walwarden",
      ],
    ])("refuses %s, and makes nothing", async (_, request, message) => {
      const count = async () =>
        expectOk(await surface.invoke(rpc.list, { pageSize: 1000 }, reader)).organizations.length;
      const before = await count();
      expect(await surface.invoke(rpc.create, { name: "Globex", ...request }, vendor)).toEqual(invalid(message));
      expect(await count()).toBe(before);
    });
  });

  describe("Get", () => {
    it("lets any member and the organization's own key read it, by public id, UUID or none", async () => {
      const organization = await makeOrganization();
      const member = await join(organization.id, "member");
      const ownKey = { bearer: await test.addServiceKey(["organizations:read"], organization.id) };
      for (const credential of [member.credential, ownKey]) {
        for (const id of ["", organization.id, fromPublicId("org", organization.id) ?? "none"]) {
          expect(expectOk(await surface.invoke(rpc.get, { id }, credential)).organization).toEqual(organization);
        }
      }
    });
  });

  describe("List", () => {
    it("answers every tenant once, the newest first, a page at a time", async () => {
      const made: string[] = [];
      for (let index = 0; index < 5; index++) made.unshift((await makeOrganization({ name: `page ${index}` })).id);
      const all = expectOk(await surface.invoke(rpc.list, { pageSize: 1000 }, reader));
      const ids = all.organizations.map(({ id }) => id);
      expect(all.nextPageToken).toBe("");
      expect(ids.slice(0, 5).toSorted()).toEqual(made.toSorted());
      const times = all.organizations.map(({ createdAt }) => (createdAt === undefined ? 0 : timestampMs(createdAt)));
      expect(times).toEqual(times.toSorted((one, other) => other - one));
      expect(ids).toContain(test.credentials.organizationId);
      expect(ids).not.toContain(toPublicId("org", SYSTEM_ORGANIZATION_ID));

      const seen: string[] = [];
      let pageToken = "";
      do {
        const page = expectOk(await surface.invoke(rpc.list, { pageSize: 2, pageToken }, reader));
        if (page.nextPageToken !== "") expect(page.organizations).toHaveLength(2);
        seen.push(...page.organizations.map(({ id }) => id));
        pageToken = page.nextPageToken;
        // One that is made meanwhile is newer than every page that is left.
        if (seen.length === 2) await makeOrganization();
      } while (pageToken !== "");
      expect(seen).toEqual(ids);
    });

    it("shows a service key of one organization that one", async () => {
      const organization = await makeOrganization();
      const ownKey = { bearer: await test.addServiceKey(["organizations:read"], organization.id) };
      const page = expectOk(await surface.invoke(rpc.list, {}, ownKey));
      expect(page).toMatchObject({ organizations: [organization], nextPageToken: "" });
      const { nextPageToken: pageToken } = expectOk(await surface.invoke(rpc.list, { pageSize: 1 }, reader));
      expect(await surface.invoke(rpc.list, { pageToken }, ownKey)).toMatchObject({ code: "INVALID_ARGUMENT" });
    });

    it("is not for people", async () => {
      const { id } = await makeOrganization();
      const owner = await join(id, "owner");
      expect(await surface.invoke(rpc.list, {}, owner.credential)).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "This call needs a service key with the scope organizations:read.",
      });
    });

    it("refuses a page token of something else, and a negative page size", async () => {
      const { id: organizationId } = await makeOrganization();
      await test.addMember("owner", organizationId);
      await test.addMember("member", organizationId);
      const members = expectOk(await surface.invoke(rpc.listMembers, { organizationId, pageSize: 1 }, reader));
      const message = "page_token: must be the next_page_token of a call with the same organization and filters";
      for (const pageToken of ["nonsense", "AAAA", members.nextPageToken]) {
        expect(await surface.invoke(rpc.list, { pageToken }, reader)).toEqual(invalid(message));
      }
      expect(await surface.invoke(rpc.list, { pageSize: -1 }, reader)).toEqual(
        invalid("page_size: must be greater than or equal to 0"),
      );
    });
  });

  describe("SetPlan", () => {
    it("changes what the very next introspection says", async () => {
      const { id } = await makeOrganization({ profile: "watchmantower" });
      const { secret } = expectOk(
        await surface.issue(vendor, { organizationId: id, name: "key", permission: "read-only" }),
      );
      const planNow = async () => expectOk(await surface.introspect(vendor, { token: secret })).plan;
      expect(await planNow()).toBe("free");
      for (const plan of ["stack", "solo", "solo", "enterprise", "free"]) {
        const { organization } = expectOk(await surface.invoke(rpc.setPlan, { organizationId: id, plan }, writer));
        expect(organization).toMatchObject({ id, profile: "watchmantower", plan });
        expect(await planNow()).toBe(plan);
      }
    });

    it("switches tokens off with a plan that comes without them, and on again", async () => {
      const { id } = await makeOrganization({ profile: "walwarden" });
      const issue = { organizationId: id, name: "key", idempotencyKey: "first" };
      const { secret } = expectOk(await surface.issue(vendor, issue));
      const isActive = async () => expectOk(await surface.introspect(vendor, { token: secret })).active;
      expect(await isActive()).toBe(true);
      expectOk(await surface.invoke(rpc.setPlan, { organizationId: id, plan: "free" }, writer));
      expect(await isActive()).toBe(false);
      expectOk(await surface.invoke(rpc.setPlan, { organizationId: id, plan: "team" }, writer));
      expect(await isActive()).toBe(true);
    });

    it("is the vendor's: an owner can't, a key of the organization can", async () => {
      const { id } = await makeOrganization({ profile: "watchmantower" });
      const owner = await join(id, "owner");
      expect(await surface.invoke(rpc.setPlan, { plan: "enterprise" }, owner.credential)).toEqual(VENDOR_ONLY);
      const ownKey = { bearer: await test.addServiceKey(["organizations:write"], id) };
      expect(expectOk(await surface.invoke(rpc.setPlan, { plan: "team" }, ownKey)).organization?.plan).toBe("team");
    });

    it("refuses a plan that the profile doesn't have, and changes nothing", async () => {
      const { id } = await makeOrganization({ profile: "watchmantower", plan: "solo" });
      expect(await surface.invoke(rpc.setPlan, { organizationId: id, plan: "standard" }, writer)).toEqual(
        invalid("plan: must be one of free, solo, team, stack, enterprise with the profile watchmantower"),
      );
      expect(await surface.invoke(rpc.setPlan, { organizationId: id }, writer)).toEqual(invalid("plan: is required"));
      expect(expectOk(await surface.invoke(rpc.get, { id }, reader)).organization?.plan).toBe("solo");
    });
  });

  describe("SetProfile", () => {
    it("changes the conventions of the next token", async () => {
      const { id } = await makeOrganization();
      const first = expectOk(
        await surface.invoke(rpc.setProfile, { organizationId: id, profile: "walwarden" }, writer),
      );
      expect(first.organization).toMatchObject({ id, profile: "walwarden", plan: "team" });
      const wished = { organizationId: id, profile: "watchmantower", plan: "stack" };
      const second = expectOk(await surface.invoke(rpc.setProfile, wished, writer));
      expect(second.organization).toMatchObject({ profile: "watchmantower", plan: "stack" });
      const { secret } = expectOk(await surface.issue(vendor, { organizationId: id, name: "key", permission: "full" }));
      expect(secret).toMatch(/^wmt_api_/);
    });

    it("is refused once there was a token, revoked or not, and says why; service keys don't count", async () => {
      const { id } = await makeOrganization();
      await test.addServiceKey(["introspect"], id);
      expectOk(await surface.invoke(rpc.setProfile, { organizationId: id, profile: "plane" }, writer));
      expectOk(await surface.invoke(rpc.setProfile, { organizationId: id, profile: "watchplane" }, writer));
      const token = expectOk(await surface.issue(vendor, { organizationId: id, name: "key" }));
      const refusal = {
        ok: false,
        code: "FAILED_PRECONDITION",
        message:
          "The organization has issued tokens of the profile watchplane, revoked ones included, so its profile can't change.",
      };
      expect(await surface.invoke(rpc.setProfile, { organizationId: id, profile: "plane" }, writer)).toEqual(refusal);
      expectOk(await surface.revoke(vendor, token.id));
      expect(await surface.invoke(rpc.setProfile, { organizationId: id, profile: "plane" }, writer)).toEqual(refusal);
      expect(expectOk(await surface.invoke(rpc.get, { id }, reader)).organization?.profile).toBe("watchplane");
    });

    it("never leaves a token of another profile behind, when one is issued at the same moment", async () => {
      for (let round = 0; round < 5; round++) {
        const { id } = await makeOrganization();
        const [issued, changed] = await Promise.all([
          surface.issue(vendor, { organizationId: id, name: "key" }),
          surface.invoke(rpc.setProfile, { organizationId: id, profile: "plane" }, writer),
        ]);
        const { organization } = expectOk(await surface.invoke(rpc.get, { id }, reader));
        expect(organization?.profile).toBe(changed.ok ? "plane" : "watchplane");
        if (!changed.ok) expect(changed.code).toBe("FAILED_PRECONDITION");
        if (!issued.ok) expect(issued.code).toBe("FAILED_PRECONDITION");
        if (issued.ok) expect(issued.value.secret).toMatch(changed.ok ? /^pk_/ : /^wp_/);
      }
    });

    it("is the vendor's, and takes known profiles and plans only", async () => {
      const { id } = await makeOrganization();
      const owner = await join(id, "owner");
      expect(await surface.invoke(rpc.setProfile, { profile: "plane" }, owner.credential)).toEqual(VENDOR_ONLY);
      for (const profile of ["nope", "latchkey", "Plane"]) {
        const refused = await surface.invoke(rpc.setProfile, { organizationId: id, profile }, writer);
        expect(refused).toMatchObject({
          code: "INVALID_ARGUMENT",
          message: expect.stringMatching(/^profile: must be one of /) as string,
        });
      }
      expect(await surface.invoke(rpc.setProfile, { organizationId: id }, writer)).toEqual(
        invalid("profile: is required"),
      );
      const wished = { organizationId: id, profile: "plane", plan: "team" };
      expect(await surface.invoke(rpc.setProfile, wished, writer)).toEqual(
        invalid("plan: must be one of standard with the profile plane"),
      );
    });
  });

  describe("AddMember", () => {
    it("makes an account for a new address, whose password is told once", async () => {
      const { id } = await makeOrganization();
      const owner = await join(id, "owner");
      const email = `Ada.${name}@Globex.example`;
      const request = {
        email,
        role: Role.ADMIN,
        firstName: "Ada",
        lastName: "Lovelace",
        avatarUrl: "https://globex.example/ada.png",
      };
      const { member, initialPassword } = expectOk(await surface.invoke(rpc.addMember, request, owner.credential));
      expect(member?.user).toMatchObject({
        id: expect.stringMatching(/^usr_[0-9a-z]{26}$/) as string,
        email: email.toLowerCase(),
        firstName: "Ada",
        lastName: "Lovelace",
        displayName: "Ada Lovelace",
        avatarUrl: "https://globex.example/ada.png",
      });
      expect(member?.role).toBe(Role.ADMIN);
      expect(initialPassword).toMatch(/^[\w-]{24}$/);

      const session = expectOk(await surface.login(vendor, email, initialPassword));
      expect(session.userId).toBe(member?.user?.id);
      expect(expectOk(await surface.invoke(rpc.get, {}, { bearer: session.accessToken })).organization?.id).toBe(id);
      expect(test.logLines.join("")).not.toContain(initialPassword);
    });

    it("adds somebody who has an account as they are, whatever else is said", async () => {
      const { id: first } = await makeOrganization();
      const { id: second } = await makeOrganization();
      const person = await test.addMember("member", first);
      const request = {
        organizationId: second,
        email: person.email.toUpperCase(),
        role: Role.OWNER,
        firstName: "Mallory",
      };
      const { member, initialPassword } = expectOk(await surface.invoke(rpc.addMember, request, vendor));
      expect(initialPassword).toBe("");
      expect(member).toMatchObject({
        user: { id: person.userId, email: person.email, firstName: "" },
        role: Role.OWNER,
      });
      expect(expectOk(await surface.login(vendor, person.email, person.password)).userId).toBe(person.userId);
      expect(await roles(first)).toEqual({ [person.userId]: Role.MEMBER });
    });

    it("refuses somebody who is a member, and leaves their role", async () => {
      const { id } = await makeOrganization();
      const owner = await join(id, "owner");
      for (const role of [Role.MEMBER, Role.OWNER]) {
        expect(await surface.invoke(rpc.addMember, { email: owner.email, role }, owner.credential)).toEqual({
          ok: false,
          code: "ALREADY_EXISTS",
          message: "This person is a member of the organization already.",
        });
      }
      expect(await roles(id)).toEqual({ [owner.userId]: Role.OWNER });
    });

    it("lets an admin add admins and members, an owner anybody, a member nobody", async () => {
      const { id } = await makeOrganization();
      const [owner, admin, member] = [await join(id, "owner"), await join(id, "admin"), await join(id, "member")];
      let count = 0;
      const add = (role: Role, credential: Credential) =>
        surface.invoke(
          rpc.addMember,
          { organizationId: id, email: `${name}-${count++}@adds.example`, role },
          credential,
        );
      expect(await add(Role.MEMBER, member.credential)).toEqual(MANAGERS_ONLY);
      expect(await add(Role.OWNER, admin.credential)).toEqual(OWNERS_ONLY);
      for (const role of [Role.ADMIN, Role.MEMBER]) expectOk(await add(role, admin.credential));
      for (const role of [Role.OWNER, Role.ADMIN, Role.MEMBER]) {
        expectOk(await add(role, owner.credential));
        expectOk(await add(role, writer));
      }
      expect(Object.keys(await roles(id))).toHaveLength(3 + 2 + 6);
    });

    it("tells one password, when a new address is added by two at once", async () => {
      const { id: first } = await makeOrganization();
      const { id: second } = await makeOrganization();
      const email = `${name}-twice@globex.example`;
      const add = (organizationId: string) =>
        surface.invoke(rpc.addMember, { organizationId, email, role: Role.OWNER }, writer);
      const outcomes = await Promise.all([add(first), add(second)]);
      const told = outcomes.map((outcome) => expectOk(outcome).initialPassword).filter((password) => password !== "");
      expect(told).toHaveLength(1);
      const { userId } = expectOk(await surface.login(vendor, email, told[0] ?? ""));
      expect(await roles(first)).toEqual({ [userId]: Role.OWNER });
      expect(await roles(second)).toEqual({ [userId]: Role.OWNER });

      const { id: third } = await makeOrganization();
      const again = await Promise.all([add(third), add(third)]);
      expect(again.map((outcome) => (outcome.ok ? "OK" : outcome.code)).toSorted()).toEqual(["ALREADY_EXISTS", "OK"]);
    });

    it.each([
      ["no address", { email: "" }, "email: is required"],
      ["an address without a host", { email: "ada" }, "email: must be a valid email address"],
      ["no role", { role: Role.UNSPECIFIED }, "role: is required"],
      ["an unknown role", { role: 99 as Role }, "role: value must be one of the defined enum values"],
      ["a control character", { firstName: "A\u001b[2Jda" }, "first_name: must not hold control characters"],
      ["a NUL", { displayName: "\u0000" }, "display_name: must not hold the character U+0000"],
      ["a picture that runs", { avatarUrl: "javascript:alert(1)" }, "avatar_url: must be an http or https URL"],
      ["a picture that is no URL", { avatarUrl: "ada" }, "avatar_url: must be a valid URI"],
    ])("refuses %s, and adds nobody", async (_, request, message) => {
      const { id: organizationId } = await makeOrganization();
      const wished = { organizationId, email: `${name}-bad@globex.example`, role: Role.MEMBER, ...request };
      const refused = await surface.invoke(rpc.addMember, wished, vendor);
      expect(refused).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(refused.ok ? "" : refused.message).toContain(message);
      expect(await roles(organizationId)).toEqual({});
    });
  });

  describe("ListMembers", () => {
    it("answers every member once, the oldest membership first, a page at a time", async () => {
      const { id } = await makeOrganization();
      const added: string[] = [];
      for (const role of ["owner", "admin", "member", "member", "member"] as const) {
        added.push((await test.addMember(role, id)).userId);
      }
      const member = await join(id, "member");
      added.push(member.userId);
      const all = expectOk(await surface.invoke(rpc.listMembers, {}, member.credential)).members;
      expect(all.map(({ user }) => user?.id ?? "").toSorted()).toEqual(added.toSorted());
      const times = all.map(({ joinedAt }) => (joinedAt === undefined ? 0 : timestampMs(joinedAt)));
      expect(times).toEqual(times.toSorted((one, other) => one - other));
      // Without a name the address is shown.
      expect(all.every(({ user }) => user?.displayName === user?.email)).toBe(true);

      const seen: (string | undefined)[] = [];
      const sizes: number[] = [];
      let pageToken = "";
      do {
        const page = expectOk(await surface.invoke(rpc.listMembers, { pageSize: 4, pageToken }, member.credential));
        sizes.push(page.members.length);
        seen.push(...page.members.map(({ user }) => user?.id));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(sizes).toEqual([4, 2]);
      expect(seen).toEqual(all.map(({ user }) => user?.id));
    });

    it("refuses a page token of another organization's members", async () => {
      const [{ id: one }, { id: other }] = [await makeOrganization(), await makeOrganization()];
      for (const id of [one, one, other]) await test.addMember("member", id);
      const { nextPageToken: pageToken } = expectOk(
        await surface.invoke(rpc.listMembers, { organizationId: one, pageSize: 1 }, reader),
      );
      expect(pageToken).not.toBe("");
      expect(await surface.invoke(rpc.listMembers, { organizationId: other, pageToken }, reader)).toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    });
  });

  describe("SetMemberRole", () => {
    it("takes effect at once, with the access token that is out already", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      const person = await join(organizationId, "member");
      const issue = async () => (await surface.issue(person.credential, { name: "key" })).ok;
      expect(await issue()).toBe(false);
      for (const [role, may] of [
        [Role.ADMIN, true],
        [Role.MEMBER, false],
        [Role.OWNER, true],
        [Role.OWNER, true],
        [Role.MEMBER, false],
      ] as const) {
        const request = { userId: person.userId, role };
        const { member } = expectOk(await surface.invoke(rpc.setMemberRole, request, owner.credential));
        expect(member).toMatchObject({ user: { id: person.userId, email: person.email }, role });
        expect(await issue()).toBe(may);
      }
    });

    it("lets an admin change admins and members, but nobody to or from owner", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      const admin = await join(organizationId, "admin");
      const other = await join(organizationId, "admin");
      const member = await join(organizationId, "member");
      const set = (userId: string, role: Role, { credential }: { credential: Credential }) =>
        surface.invoke(rpc.setMemberRole, { userId, role }, credential);
      expect(await set(member.userId, Role.OWNER, admin)).toEqual(OWNERS_ONLY);
      expect(await set(admin.userId, Role.OWNER, admin)).toEqual(OWNERS_ONLY);
      for (const role of [Role.OWNER, Role.ADMIN, Role.MEMBER]) {
        expect(await set(owner.userId, role, admin)).toEqual(OWNERS_ONLY);
      }
      expect(await set(member.userId, Role.ADMIN, member)).toEqual(MANAGERS_ONLY);
      expect(await set(admin.userId, Role.MEMBER, member)).toEqual(MANAGERS_ONLY);
      expectOk(await set(member.userId, Role.ADMIN, admin));
      expectOk(await set(member.userId, Role.MEMBER, admin));
      expectOk(await set(other.userId, Role.MEMBER, admin));
      expectOk(await set(admin.userId, Role.MEMBER, admin));
      expect(await set(admin.userId, Role.ADMIN, admin)).toEqual(MANAGERS_ONLY);
      const uuid = fromPublicId("usr", member.userId) ?? "";
      expectOk(await surface.invoke(rpc.setMemberRole, { organizationId, userId: uuid, role: Role.OWNER }, writer));
      expect(await roles(organizationId)).toEqual({
        [owner.userId]: Role.OWNER,
        [admin.userId]: Role.MEMBER,
        [other.userId]: Role.MEMBER,
        [member.userId]: Role.OWNER,
      });
    });

    it("leaves the last owner an owner, also for the vendor", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      await test.addMember("admin", organizationId);
      for (const credential of [owner.credential, writer]) {
        const request = { organizationId, userId: owner.userId, role: Role.ADMIN };
        expect(await surface.invoke(rpc.setMemberRole, request, credential)).toEqual({
          ok: false,
          code: "FAILED_PRECONDITION",
          message: "The last owner of the organization stays an owner; make somebody else an owner first.",
        });
      }
      expectOk(await surface.invoke(rpc.setMemberRole, { userId: owner.userId, role: Role.OWNER }, owner.credential));
    });

    it("leaves one owner, when two demote each other at the same moment", async () => {
      for (let round = 0; round < 5; round++) {
        const { id: organizationId } = await makeOrganization();
        const [one, other] = [await join(organizationId, "owner"), await join(organizationId, "owner")];
        const outcomes = await Promise.all([
          surface.invoke(rpc.setMemberRole, { userId: other.userId, role: Role.MEMBER }, one.credential),
          surface.invoke(rpc.setMemberRole, { userId: one.userId, role: Role.MEMBER }, other.credential),
        ]);
        expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
        expect(new Set(Object.values(await roles(organizationId)))).toEqual(new Set([Role.OWNER, Role.MEMBER]));
      }
    });

    it("knows no member who isn't there, and no role that isn't one", async () => {
      const { id: organizationId } = await makeOrganization();
      const { id: elsewhere } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      const stranger = await test.addMember("member", elsewhere);
      const set = (userId: string, role: Role) => surface.invoke(rpc.setMemberRole, { userId, role }, owner.credential);
      const unknown = [stranger.userId, fromPublicId("usr", stranger.userId) ?? "", `usr_0${"1".repeat(25)}`];
      for (const userId of [...unknown, "nonsense", organizationId, owner.userId.toUpperCase()]) {
        expect(await set(userId, Role.ADMIN)).toEqual(NO_MEMBER);
      }
      expect(await set(owner.userId, Role.UNSPECIFIED)).toEqual(invalid("role: is required"));
      expect(await set("", Role.ADMIN)).toEqual(invalid("user_id: is required"));
    });
  });

  describe("RemoveMember", () => {
    it("ends the person's access token at once, and their membership only", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      const person = await join(organizationId, "admin");
      const key = expectOk(await surface.issue(person.credential, { name: "theirs" }));
      const { userId } = person;
      expectOk(await surface.invoke(rpc.removeMember, { userId }, owner.credential));
      const refusal = { ok: false, code: "UNAUTHENTICATED", message: "The credential is not valid." };
      expect(await surface.list(person.credential)).toEqual(refusal);
      expect(await surface.invoke(rpc.get, {}, person.credential)).toEqual(refusal);
      expect(await surface.login(vendor, person.email, person.password)).toEqual({
        ok: false,
        code: "PERMISSION_DENIED",
        message: "You are not a member of any organization.",
      });
      // What they issued is the organization's.
      expect(expectOk(await surface.introspect(vendor, { token: key.secret })).active).toBe(true);
      expect(await surface.invoke(rpc.removeMember, { userId }, owner.credential)).toEqual(NO_MEMBER);
      expect(await roles(organizationId)).toEqual({ [owner.userId]: Role.OWNER });

      // Nobody knows by now whose the account is, so it takes the deployment's own key, or an invitation.
      const added = { organizationId, email: person.email, role: Role.MEMBER };
      expect(await surface.invoke(rpc.addMember, added, owner.credential)).toMatchObject({
        code: "FAILED_PRECONDITION",
      });
      const again = expectOk(await surface.invoke(rpc.addMember, added, vendor));
      expect(again).toMatchObject({ member: { user: { id: userId }, role: Role.MEMBER }, initialPassword: "" });
    });

    it("lets an admin remove admins and members, an owner anybody, and anybody leave", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      const second = await join(organizationId, "owner");
      const admin = await join(organizationId, "admin");
      const other = await join(organizationId, "admin");
      const member = await join(organizationId, "member");
      const quitter = await join(organizationId, "member");
      const remove = (userId: string, { credential }: { credential: Credential }) =>
        surface.invoke(rpc.removeMember, { userId }, credential);
      expect(await remove(owner.userId, admin)).toEqual(OWNERS_ONLY);
      expect(await remove(admin.userId, member)).toEqual(MANAGERS_ONLY);
      expect(await remove(owner.userId, member)).toEqual(MANAGERS_ONLY);
      expectOk(await remove(quitter.userId, quitter));
      expectOk(await remove(member.userId, admin));
      expectOk(await remove(other.userId, admin));
      expectOk(await remove(admin.userId, admin));
      expectOk(await remove(second.userId, second));
      const third = await join(organizationId, "owner");
      expectOk(await remove(third.userId, owner));
      const fourth = await join(organizationId, "owner");
      const uuid = fromPublicId("usr", fourth.userId) ?? "";
      expectOk(await surface.invoke(rpc.removeMember, { organizationId, userId: uuid }, writer));
      expect(await roles(organizationId)).toEqual({ [owner.userId]: Role.OWNER });
    });

    it("keeps the last owner, also from leaving, and when two leave at the same moment", async () => {
      const { id: organizationId } = await makeOrganization();
      const owner = await join(organizationId, "owner");
      await test.addMember("admin", organizationId);
      for (const credential of [owner.credential, writer]) {
        expect(await surface.invoke(rpc.removeMember, { organizationId, userId: owner.userId }, credential)).toEqual({
          ok: false,
          code: "FAILED_PRECONDITION",
          message: "The last owner of the organization can't go; make somebody else an owner first.",
        });
      }
      const second = await join(organizationId, "owner");
      const outcomes = await Promise.all(
        [owner, second].map(({ userId, credential }) => surface.invoke(rpc.removeMember, { userId }, credential)),
      );
      expect(outcomes.map((outcome) => (outcome.ok ? "OK" : outcome.code)).toSorted()).toEqual([
        "FAILED_PRECONDITION",
        "OK",
      ]);
      expect(new Set(Object.values(await roles(organizationId)))).toEqual(new Set([Role.OWNER, Role.ADMIN]));
    });

    it("knows no member who isn't there", async () => {
      const { id: organizationId } = await makeOrganization();
      const { id: elsewhere } = await makeOrganization();
      const stranger = await test.addMember("member", elsewhere);
      const owner = await join(organizationId, "owner");
      for (const userId of [stranger.userId, fromPublicId("usr", stranger.userId) ?? "", "nonsense"]) {
        expect(await surface.invoke(rpc.removeMember, { userId }, owner.credential)).toEqual(NO_MEMBER);
      }
      expect(Object.keys(await roles(elsewhere))).toEqual([stranger.userId]);
      expect(await surface.invoke(rpc.removeMember, {}, owner.credential)).toEqual(invalid("user_id: is required"));
    });
  });
});
