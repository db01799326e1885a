/** Access tokens of other issuers: who is let in with them, as what, and what the audit log says of it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { OrganizationService, Role } from "../../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type IdentityProvider, startIdentityProvider } from "../helpers/identity-provider.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { expectOk, openSurface, RPC_SURFACES, SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const AUDIENCE = "https://latchkey.example.com";

let provider: IdentityProvider;
let test: TestApp;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let otherOrganization: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  provider = await startIdentityProvider();
  const file = join(folder.path, "identity.yaml");
  await writeFile(
    file,
    `issuers:
  - name: acme
    issuer: ${provider.issuer}
    audience: ${AUDIENCE}
    organization: { claim: tenant }
    role:
      claim: [realm_access, roles]
      values: { keys-owner: owner, keys-admin: admin, staff: member }
`,
  );
  test = await startTestApp({ env: { LATCHKEY_IDENTITY_FILE: file } });
  otherOrganization = await test.addOrganization();
});

afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** A token that the provider itself makes, with roles in an organization. */
function tokenWith(roles: readonly string[], tenant: unknown = test.credentials.organizationId): Promise<string> {
  provider.extraClaims = { tenant, realm_access: { roles } };
  return provider.accessToken(AUDIENCE);
}

describe.each(SURFACES)("an external access token through %s", (name) => {
  it("is a person with the role and the organization of its claims", async () => {
    const surface = openSurface(test.app, name);
    const admin = { bearer: await tokenWith(["unheard-of", "staff", "keys-admin"]) };
    const { id } = expectOk(await surface.issue(admin, { name: `by ${name}` }));
    const member = { bearer: await tokenWith(["staff"]) };
    const listed = expectOk(await surface.list(member)).tokens;
    expect(listed.map((token) => token.id)).toContain(id);
    expect(await surface.issue(member, { name: "no" })).toEqual({
      ok: false,
      code: "PERMISSION_DENIED",
      message: "Only an owner or an admin of the organization can manage API tokens.",
    });
    expectOk(await surface.revoke(admin, id));
    const stranger = { bearer: await tokenWith(["keys-owner"], otherOrganization) };
    expect(await surface.get(stranger, id)).toMatchObject({ ok: false, code: "NOT_FOUND" });
    surface.close();
  });

  it("lets nobody in whose claims give no role or no organization", async () => {
    const surface = openSurface(test.app, name);
    const refusal = {
      ok: false,
      code: "PERMISSION_DENIED",
      message: "Your access token is good, but gives you no role in an organization here.",
    };
    const tenants: unknown[] = [
      null,
      "",
      "acme",
      7,
      [test.credentials.organizationId, otherOrganization],
      "org_00000000000000000000000000",
      "org_01m7zwtqvsf65aaqgh1cya2458",
    ];
    for (const tenant of tenants) {
      expect(await surface.list({ bearer: await tokenWith(["keys-owner"], tenant) })).toEqual(refusal);
    }
    for (const roles of [[], ["owner"], ["toString", "__proto__"]]) {
      expect(await surface.list({ bearer: await tokenWith(roles) })).toEqual(refusal);
    }
    surface.close();
  });

  it("is no API key", async () => {
    const surface = openSurface(test.app, name);
    expect(await surface.list({ apiKey: await tokenWith(["keys-owner"]) })).toMatchObject({ code: "UNAUTHENTICATED" });
    surface.close();
  });
});

describe.each(RPC_SURFACES)("a person elsewhere, through %s", (name) => {
  it("is named by issuer and subject in tokens and events", async () => {
    const surface = openSurface(test.app, name);
    const owner = { bearer: await tokenWith(["keys-owner"]) };
    const { token } = expectOk(await surface.invoke(TokenService.method.issue, { name: "audited" }, owner));
    expect(token).toMatchObject({ createdBy: `acme:${provider.client.id}`, userId: "" });
    const { events } = expectOk(await surface.invoke(AuditService.method.listEvents, {}, owner));
    const event = events.find(({ target }) => target === token?.id);
    expect(event?.actor).toMatchObject({ kind: "external", id: `acme:${provider.client.id}` });
    surface.close();
  });

  it("manages members as their role allows, and has no password", async () => {
    const surface = openSurface(test.app, name);
    const owner = { bearer: await tokenWith(["keys-owner"]) };
    const { member } = expectOk(
      await surface.invoke(
        OrganizationService.method.addMember,
        { email: `somebody-${name}@acme.example`, role: Role.MEMBER },
        owner,
      ),
    );
    expect(member?.role).toBe(Role.MEMBER);
    const admin = { bearer: await tokenWith(["keys-admin"]) };
    expect(
      await surface.invoke(OrganizationService.method.addMember, { email: "x@acme.example", role: Role.OWNER }, admin),
    ).toMatchObject({ code: "PERMISSION_DENIED" });
    const change = { currentPassword: "whatever it is", newPassword: "another one, and a good one" };
    expect(await surface.account(owner, "changePassword", change)).toMatchObject({ code: "PERMISSION_DENIED" });
    surface.close();
  });
});

describe("the keys of an issuer", () => {
  it("are had by discovery, once for many calls", async () => {
    const bearer = await tokenWith(["staff"]);
    const surface = openSurface(test.app, "rest");
    expectOk(await surface.list({ bearer }));
    const before = provider.requests.length;
    for (let call = 0; call < 20; call++) expectOk(await surface.list({ bearer }));
    expect(provider.requests.length).toBe(before);
    expect(provider.requests.filter((path) => path === "/.well-known/openid-configuration")).toHaveLength(1);
  });

  it("that can't be had are UNAVAILABLE, never a no, until they can", async () => {
    let nowMs = Date.now();
    await using own = await startIdentityProvider();
    const file = join(folder.path, "alone.yaml");
    await writeFile(
      file,
      JSON.stringify({
        issuers: [
          { name: "alone", issuer: own.issuer, audience: AUDIENCE, organization: { claim: "tenant" }, role: "admin" },
        ],
      }),
    );
    await using app = await startTestApp({
      env: { LATCHKEY_IDENTITY_FILE: file },
      surroundings: { clock: () => nowMs },
    });
    own.extraClaims = { tenant: app.credentials.organizationId };
    const bearer = await own.accessToken(AUDIENCE);
    await own.stop();
    for (const name of SURFACES) {
      const surface = openSurface(app.app, name);
      expect(await surface.list({ bearer })).toEqual({
        ok: false,
        code: "UNAVAILABLE",
        message: "The access token's issuer can't be asked for its keys; try again later.",
      });
      surface.close();
    }
    // Our own and everybody else's calls don't mind.
    const surface = openSurface(app.app, "rest");
    expectOk(await surface.list({ bearer: await app.signIn(await app.addMember("member")) }));
    await own.start();
    nowMs += 5_000;
    expectOk(await surface.list({ bearer }));
  });
});

describe("an issuer's settings", () => {
  it("accept plain JSON Web Tokens where they say so, within an age", async () => {
    const file = join(folder.path, "plain.yaml");
    await writeFile(
      file,
      `issuers:
  - name: plain
    issuer: ${provider.issuer}
    audience: [${AUDIENCE}, https://other.example.com]
    token_type: jwt
    max_age_seconds: 600
    organization: { claim: tenant, values: { acme-inc: ORGANIZATION } }
    role: { claim: groups, default: member }
`.replace("ORGANIZATION", otherOrganization),
    );
    await using app = await startTestApp({ env: { LATCHKEY_IDENTITY_FILE: file } });
    const sign = (claims: Record<string, unknown>, typ: string | undefined, ageS = 0): Promise<string> =>
      new SignJWT({ tenant: "acme-inc", ...claims })
        .setProtectedHeader({ alg: "RS256", kid: "first", ...(typ === undefined ? {} : { typ }) })
        .setIssuer(provider.issuer)
        .setAudience("https://other.example.com")
        .setSubject("somebody")
        .setIssuedAt(Math.floor(Date.now() / 1000) - ageS)
        .setExpirationTime("1h")
        .sign(provider.signingKey);
    const surface = openSurface(app.app, "grpc");
    for (const typ of ["JWT", undefined]) {
      // The mapped organization isn't one of this deployment.
      expect(await surface.list({ bearer: await sign({}, typ) })).toMatchObject({ code: "PERMISSION_DENIED" });
    }
    expect(await surface.list({ bearer: await sign({}, "JWT", 700) })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.list({ bearer: await sign({}, "at+jwt") })).toMatchObject({ code: "UNAUTHENTICATED" });
    surface.close();
  });
});
