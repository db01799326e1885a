import { describe, expect, it } from "vitest";
import { decide } from "../../src/domain/decision.ts";
import type { Token } from "../../src/domain/entities.ts";
import type { Profile } from "../../src/domain/profile.ts";
import type { PresentedSecret } from "../../src/domain/rotation.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";

const profiles = loadProfiles(undefined);

const NOW = 1_700_000_000_000;
const token: Token = {
  id: "t",
  organizationId: "o",
  profile: "walwarden",
  type: "",
  name: "n",
  hint: "h",
  permission: "",
  scopes: ["databases:read"],
  ipAllowlist: [],
  metadata: {},
  enabled: true,
  createdBy: "c",
  userId: undefined,
  createdAt: new Date(0),
  expiresAt: undefined,
  lastUsedAt: undefined,
  lastUsedAddress: "",
  revokedAt: undefined,
  revokedBy: undefined,
  rotation: undefined,
  revision: 1,
};
function judge(
  change: Partial<Token>,
  request: { requiredScopes?: string[]; clientIp?: string } = {},
  profileId = "walwarden",
  planName?: string,
  secret: PresentedSecret = { kind: "current" },
) {
  const profile = profiles.get(profileId) as Profile;
  const { requiredScopes = [], clientIp } = request;
  const plan = planName ?? profile.plans[0]?.name ?? "";
  const organization = { id: "o", name: "o", profile: profileId, plan, createdAt: new Date(0) };
  const record = { token: { ...token, ...change }, organization, secret };
  const decision = decide(record, profile, { requiredScopes, clientIp }, NOW);
  return decision.active && decision.allowed
    ? "allowed"
    : `${decision.active ? "active" : "inactive"}: ${decision.reason}`;
}

describe("the decision", () => {
  it.each([
    ["a plain token", {}, {}, "allowed"],
    ["revoked", { revokedAt: new Date(NOW) }, {}, "inactive: revoked"],
    ["revoked in the future by a clock that is ahead", { revokedAt: new Date(NOW + 5000) }, {}, "inactive: revoked"],
    [
      "revoked, expired and disabled",
      { revokedAt: new Date(0), expiresAt: new Date(0), enabled: false },
      {},
      "inactive: revoked",
    ],
    ["a millisecond before its expiry", { expiresAt: new Date(NOW + 1) }, {}, "allowed"],
    ["at its expiry", { expiresAt: new Date(NOW) }, {}, "inactive: expired"],
    ["disabled", { enabled: false }, {}, "inactive: disabled"],
    ["a scope that it has", {}, { requiredScopes: ["databases:read"] }, "allowed"],
    ["a scope that it lacks", {}, { requiredScopes: ["databases:read", "audit:read"] }, "active: insufficient_scope"],
    ["a wildcard", { scopes: ["*"] }, { requiredScopes: ["audit:read"] }, "active: insufficient_scope"],
    ["no scopes, and none required", { scopes: [] }, {}, "allowed"],
    ["an address on the list", { ipAllowlist: ["10.0.0.0/8"] }, { clientIp: "10.1.1.1" }, "allowed"],
    ["an address off the list", { ipAllowlist: ["10.0.0.0/8"] }, { clientIp: "11.1.1.1" }, "active: ip_not_allowed"],
    ["a list, and no address told", { ipAllowlist: ["0.0.0.0/0", "::/0"] }, {}, "active: ip_not_allowed"],
  ])("%s", (_, change, request, expected) => expect(judge(change, request)).toBe(expected));

  it("switches tokens off on a plan without them, and on one that the profile doesn't know", () => {
    expect(judge({}, {}, "walwarden", "free")).toBe("inactive: disabled");
    expect(judge({}, {}, "walwarden", "unheard-of")).toBe("inactive: disabled");
    expect(judge({}, {}, "walwarden", "team")).toBe("allowed");
  });

  it("lets a token with full access do anything", () => {
    expect(judge({ scopes: [] }, { requiredScopes: ["what:ever"] }, "watchplane")).toBe("allowed");
  });

  it("takes a former secret until its end, to the millisecond, and no longer", () => {
    const judgeFormer = (endsAt: Date | undefined, change: Partial<Token> = {}) =>
      judge(change, {}, "walwarden", undefined, { kind: "former", endsAt });
    expect(judgeFormer(new Date(NOW + 1))).toBe("allowed");
    expect(judgeFormer(new Date(NOW))).toBe("inactive: revoked");
    expect(judgeFormer(undefined)).toBe("inactive: revoked");
    expect(judgeFormer(new Date(Number.NaN))).toBe("inactive: revoked");
    // What else is wrong with the token isn't for whoever has an ended secret.
    expect(judgeFormer(undefined, { enabled: false, expiresAt: new Date(NOW) })).toBe("inactive: revoked");
    expect(judgeFormer(new Date(NOW + 1), { revokedAt: new Date(NOW) })).toBe("inactive: revoked");
    expect(judgeFormer(new Date(NOW + 1), { expiresAt: new Date(NOW) })).toBe("inactive: expired");
    expect(judgeFormer(new Date(NOW + 1), { enabled: false })).toBe("inactive: disabled");
  });

  it("takes a permission for the scopes that it stands for", () => {
    const ask = (permission: string, scope: string) =>
      judge({ permission }, { requiredScopes: [scope] }, "watchmantower");
    expect(ask("read-only", "monitors:read")).toBe("allowed");
    expect(ask("read-only", "monitors:write")).toBe("active: insufficient_scope");
    expect(ask("full", "monitors:write")).toBe("allowed");
    expect(ask("", "monitors:read")).toBe("active: insufficient_scope");
    expect(ask("toString", "monitors:read")).toBe("active: insufficient_scope");
    expect(ask("constructor", "length")).toBe("active: insufficient_scope");
  });
});
