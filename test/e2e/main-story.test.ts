/** The main job, through every door: sign in, issue, introspect, see the use, revoke, and it is over. */
import { describe, expect, it } from "vitest";
import { Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { expectOk, openSurface, SURFACES } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

describe.each(SURFACES)("through %s", (name) => {
  it("an admin signs in, issues a token, a backend introspects it, the admin sees the use and revokes it", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using test = await startTestApp({ surroundings: { clock: () => nowMs } });
    const { app, credentials } = test;
    const surface = openSurface(app, name);
    const backend = openSurface(app, "grpc");
    const serviceKey = { bearer: credentials.serviceKey };

    const signInWith = name === "grpc" ? serviceKey : {};
    const session = expectOk(await surface.login(signInWith, credentials.adminEmail, credentials.adminPassword));
    expect(session.email).toBe(credentials.adminEmail);
    const admin = { bearer: session.accessToken };

    const issued = expectOk(await surface.issue(admin, { name: "CI pipeline" }));
    expect(issued.name).toBe("CI pipeline");
    expect(issued.id).toMatch(/^tok_[0-9a-z]{26}$/);
    expect(issued.secret).toMatch(/^wp_[0-9a-f]{48}$/);
    expect(expectOk(await surface.get(admin, issued.id)).lastUsedAt).toBeUndefined();

    nowMs += 60_000;
    const judgement = expectOk(await backend.introspect(serviceKey, { token: issued.secret }));
    expect(judgement).toMatchObject({
      active: true,
      allowed: true,
      reason: Reason.UNSPECIFIED,
      tokenId: issued.id,
      organizationId: credentials.organizationId,
      userId: session.userId,
      profile: "watchplane",
      name: "CI pipeline",
      plan: "standard",
    });

    await app.usage.flush();
    const { tokens } = expectOk(await surface.list(admin));
    expect(tokens).toEqual([{ id: issued.id, name: "CI pipeline", lastUsedAt: new Date(nowMs) }]);

    expectOk(await surface.revoke(admin, issued.id));
    const after = expectOk(await backend.introspect(serviceKey, { token: issued.secret }));
    expect(after).toMatchObject({ active: false, allowed: false, reason: Reason.REVOKED, tokenId: "", name: "" });
    expect(expectOk(await surface.list(admin)).tokens).toEqual([]);
    surface.close();
    backend.close();
  });
});
