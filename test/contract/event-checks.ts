/** What must hold of the audit log. Each throws when it doesn't. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type AuditEvent, type ChainHead, type Change, EMPTY_CHAIN, findFault } from "../../src/domain/audit.ts";
import { settingsOf, type Token, type TokenSettings } from "../../src/domain/entities.ts";
import { AppError } from "../../src/domain/errors.ts";
import { SYSTEM_ORGANIZATION_ID, toPublicId } from "../../src/domain/ids.ts";
import type { Storage } from "../../src/domain/storage.ts";
import {
  after,
  changeBy,
  everyEvent,
  everyToken,
  NO_TOKENS,
  NOW,
  someChange,
  someFingerprint,
  someHmacScheme,
  someIdentity,
  someInvitation,
  someOrganization,
  someRotation,
  someSelection,
  someSession,
  someSettings,
  someToken,
  someUse,
  someUser,
} from "./samples.ts";
import type { StorageSubject } from "./storage-contract.ts";

/** E1. The storage is empty or not; nothing else writes. */
export async function checkEachChangeHasItsEvent(storage: Storage): Promise<void> {
  const change = changeBy("usr_author", after(5));
  const organization = someOrganization({ name: "Acme", plan: "free" });
  const { id: organizationId } = organization;
  const ofOrganization = { target: toPublicId("org", organizationId), targetName: "Acme" };
  /** Runs a write and answers what its events say beside who, when and where. */
  const eventsOf = async (write: () => Promise<unknown>): Promise<unknown[]> => {
    const last = (await storage.listEvents(everyEvent())).at(-1)?.revision;
    await write();
    const events = await storage.listEvents(everyEvent({ after: last }));
    return events.map((event) => {
      expect(event).toMatchObject(change);
      const { action, target, targetName, scopes, details } = event;
      return { action, of: event.organizationId, target, targetName, scopes, details };
    });
  };
  const event = (action: string, fields: object) => ({
    action,
    of: organizationId,
    ...ofOrganization,
    scopes: [],
    details: {},
    ...fields,
  });

  expect(await eventsOf(() => storage.createOrganization(organization, change))).toEqual([
    event("organization.created", { details: { profile: "watchplane", plan: "free" } }),
  ]);
  expect(await eventsOf(() => storage.setPlan(organizationId, "pro", change))).toEqual([
    event("organization.plan_set", { details: { plan_before: "free", plan: "pro" } }),
  ]);
  expect(await eventsOf(() => storage.setPlan(organizationId, "pro", change))).toEqual([]);
  expect(await eventsOf(() => storage.setPlan(randomUUID(), "pro", change))).toEqual([]);
  const profileDetails = { profile_before: "watchplane", profile: "plane", plan_before: "pro", plan: "free" };
  expect(await eventsOf(() => storage.setProfile(organizationId, "plane", "free", change))).toEqual([
    event("organization.profile_set", { details: profileDetails }),
  ]);
  expect(await eventsOf(() => storage.setProfile(organizationId, "plane", "free", change))).toEqual([]);

  const [owner, user] = [someUser(), someUser()];
  const ofUser = { target: toPublicId("usr", user.id), targetName: user.email };
  const membership = { organizationId, createdAt: NOW };
  await storage.addMember({ ...membership, role: "owner" }, owner, change);
  expect(await eventsOf(() => storage.createUser(someUser()))).toEqual([]);
  expect(await eventsOf(() => storage.addMember({ ...membership, role: "member" }, user, change))).toEqual([
    event("member.added", { ...ofUser, details: { role: "member" } }),
  ]);
  for (const again of [0, 1]) {
    const roleSet = event("member.role_set", { ...ofUser, details: { role_before: "member", role: "admin" } });
    expect(await eventsOf(() => storage.setMemberRole(organizationId, user.id, "admin", change))).toEqual(
      again === 0 ? [roleSet] : [],
    );
  }
  const put = { ...membership, userId: user.id, role: "member" } as const;
  expect(await eventsOf(() => storage.putMembership(put, change))).toEqual([
    event("member.role_set", { ...ofUser, details: { role_before: "admin", role: "member" } }),
  ]);
  expect(await eventsOf(() => storage.putMembership(put, change))).toEqual([]);

  const session = someSession({ organizationId, userId: user.id });
  const [first, second, third] = [someFingerprint(), someFingerprint(), someFingerprint()];
  expect(await eventsOf(() => storage.createSession(session, first, change))).toEqual([
    event("user.signed_in", { ...ofUser, details: { session: session.id } }),
  ]);
  expect(await eventsOf(() => storage.rotateRefreshToken({ presented: first, next: second }, change))).toEqual([]);
  for (const again of [0, 1]) {
    const details = { session: session.id, reason: "refresh_token_reused" };
    expect(await eventsOf(() => storage.rotateRefreshToken({ presented: first, next: third }, change))).toEqual(
      again === 0 ? [event("session.ended", { ...ofUser, details })] : [],
    );
  }

  const identity = someIdentity();
  for (const again of [0, 1]) {
    const details = { issuer: identity.issuer, subject: identity.subject };
    const linked = [event("user.password_restored", ofUser), event("user.identity_linked", { ...ofUser, details })];
    expect(await eventsOf(() => storage.linkIdentity(identity, user.email, "new hash", change))).toEqual(
      again === 0 ? linked : [],
    );
  }

  const [registered, founder] = [someOrganization(), someUser()];
  const ofFounder = { target: toPublicId("usr", founder.id), targetName: founder.email };
  expect(await eventsOf(() => storage.register(registered, founder, change))).toMatchObject([
    { of: registered.id, action: "organization.created", targetName: registered.name },
    { of: registered.id, action: "member.added", ...ofFounder, details: { role: "owner" } },
  ]);
  expect(await eventsOf(() => storage.register(someOrganization(), founder, change))).toMatchObject([
    { of: registered.id, action: "user.registration_refused", ...ofFounder, details: {} },
  ]);

  const { invitation, fingerprint: offered } = someInvitation(organizationId, { role: "admin" });
  const ofInvitation = { target: invitation.id, targetName: invitation.email, details: { role: "admin" } };
  const invite = () => storage.createInvitation({ invitation, fingerprint: offered }, change);
  expect(await eventsOf(invite)).toEqual([event("member.invited", ofInvitation)]);
  for (const again of [0, 1]) {
    const revoked = [event("member.invitation_revoked", ofInvitation)];
    const revoke = () => storage.revokeInvitation(organizationId, invitation.id, change);
    expect(await eventsOf(revoke)).toEqual(again === 0 ? revoked : []);
  }
  await invite();
  const guest = someUser();
  for (const again of [0, 1]) {
    const ofGuest = { target: toPublicId("usr", guest.id), targetName: invitation.email };
    const added = [event("member.added", { ...ofGuest, details: { role: "admin" } })];
    const accept = () => storage.acceptInvitation(offered, { kind: "newcomer", user: guest }, change);
    expect(await eventsOf(accept)).toEqual(again === 0 ? added : []);
  }
  expect(await eventsOf(() => storage.sweepInvitations(after(1e9), 10))).toEqual([]);

  const link = { fingerprint: someFingerprint(), userId: user.id, expiresAt: after(50_000) };
  expect(await eventsOf(() => storage.createPasswordLink(link, change))).toEqual([
    event("user.password_link_sent", ofUser),
  ]);
  for (const again of [0, 1]) {
    const restored = [event("user.password_restored", ofUser)];
    const reset = () => storage.resetPassword(link.fingerprint, user.passwordHash, change);
    expect(await eventsOf(reset)).toEqual(again === 0 ? restored : []);
  }
  expect(await eventsOf(() => storage.sweepPasswordLinks(after(1e9), 10))).toEqual([]);

  const [mine, left] = [
    someSession({ organizationId, userId: user.id }),
    someSession({ organizationId, userId: user.id }),
  ];
  for (const one of [mine, left]) await storage.createSession(one, someFingerprint(), change);
  const over = ({ id }: typeof mine, reason: string) =>
    event("session.ended", { ...ofUser, details: { session: id, reason } });
  const password = { before: user.passwordHash, after: "new hash", keptSessionId: mine.id };
  for (const again of [0, 1]) {
    const changed = [event("user.password_changed", ofUser), over(left, "password_changed")];
    expect(await eventsOf(() => storage.changePassword(user.id, password, change))).toEqual(again === 0 ? changed : []);
  }
  for (const again of [0, 1]) {
    expect(await eventsOf(() => storage.endSession(mine.id, change))).toEqual(
      again === 0 ? [over(mine, "signed_out")] : [],
    );
  }

  const newToken = someToken({
    organizationId,
    profile: "plane",
    type: "bot",
    permission: "read",
    scopes: ["a", "b"],
    ipAllowlist: ["192.0.2.1", "2001:db8::/32"],
    metadata: { note: "not for the log" },
    userId: user.id,
    expiresAt: after(1_000),
  });
  const ofToken = { target: toPublicId("tok", newToken.token.id), targetName: "deploy", scopes: ["a", "b"] };
  const details = {
    profile: "plane",
    type: "bot",
    permission: "read",
    user: ofUser.target,
    expires_at: after(1_000).toISOString(),
    ip_allowlist: "192.0.2.1 2001:db8::/32",
  };
  expect(await eventsOf(() => storage.createToken(newToken, change))).toEqual([
    event("token.issued", { ...ofToken, details }),
  ]);
  expect(await eventsOf(() => storage.createToken(newToken, change).catch(() => {}))).toEqual([]);
  const used = someUse(newToken.token.id, NOW, { daily: [{ day: 1, uses: 2 }] });
  expect(await eventsOf(() => storage.recordUses([used]))).toEqual([]);
  expect(await eventsOf(() => storage.sweepUses(2, 10))).toEqual([]);

  const { id: tokenId } = newToken.token;
  const rotate = async (overlapEndsAt: Date) => {
    const { revision = 0 } = (await storage.getToken(tokenId)) ?? {};
    return storage.rotateToken(tokenId, someRotation({ revision }, { overlapEndsAt }), change);
  };
  const rotated = (overlapEndsAt: Date) =>
    event("token.rotated", { ...ofToken, details: { overlap_ends_at: overlapEndsAt.toISOString() } });
  expect(await eventsOf(() => rotate(change.at))).toEqual([rotated(change.at)]);
  expect(await eventsOf(() => storage.finishRotation(tokenId, change))).toEqual([]);
  expect(await eventsOf(() => storage.cancelRotation(tokenId, change).catch(() => {}))).toEqual([]);
  expect(await eventsOf(() => rotate(after(500)))).toEqual([rotated(after(500))]);
  expect(await eventsOf(() => rotate(after(500)).catch(() => {}))).toEqual([]);
  expect(await eventsOf(() => storage.cancelRotation(tokenId, change))).toEqual([
    event("token.rotation_cancelled", ofToken),
  ]);
  await rotate(after(500));
  for (const again of [0, 1]) {
    const finished = event("token.rotation_finished", ofToken);
    expect(await eventsOf(() => storage.finishRotation(tokenId, change))).toEqual(again === 0 ? [finished] : []);
  }

  await checkEventsOfUpdates(storage, newToken.token, eventsOf, (action, fields) =>
    event(action, { ...ofToken, ...fields }),
  );
  expect(await eventsOf(() => storage.revokeToken(newToken.token.id, change))).toEqual([
    event("token.revoked", { ...ofToken, details: { profile: "plane", type: "bot" } }),
  ]);
  expect(await eventsOf(() => storage.revokeToken(newToken.token.id, change))).toEqual([]);

  const imported = someToken({
    organizationId,
    profile: "plane",
    scopes: ["a"],
    metadata: { note: "not for the log" },
    createdAt: after(-1_000),
    enabled: false,
  });
  const rows = [newToken, imported, { ...someToken({ organizationId }), fingerprint: imported.fingerprint }];
  expect(await eventsOf(() => storage.importTokens(rows, [someHmacScheme()], change))).toEqual([
    event("token.imported", {
      target: toPublicId("tok", imported.token.id),
      targetName: "deploy",
      scopes: ["a"],
      details: { profile: "plane", created_at: after(-1_000).toISOString(), enabled: "false" },
    }),
  ]);
  expect(await eventsOf(() => storage.importTokens(rows, [someHmacScheme()], change))).toEqual([]);

  // What a member had goes with the membership.
  const going = someSession({ organizationId, userId: user.id });
  const own = someToken({ organizationId, profile: "plane", type: "bot", userId: user.id });
  await storage.createSession(going, someFingerprint(), change);
  await storage.createToken(own, change);
  await storage.createToken(someToken({ organizationId, profile: "plane", type: "bot" }), change);
  const last = () => storage.removeMember(organizationId, owner.id, NO_TOKENS, change).catch(() => {});
  expect(await eventsOf(last)).toEqual([]);
  const bots = { profile: "plane", types: ["robot", "bot"] };
  expect(await eventsOf(() => storage.removeMember(organizationId, user.id, bots, change))).toEqual([
    event("member.removed", { ...ofUser, details: { role: "member" } }),
    event("session.ended", { ...ofUser, details: { session: going.id, reason: "member_removed" } }),
    event("token.revoked", {
      target: toPublicId("tok", own.token.id),
      targetName: "deploy",
      details: { profile: "plane", type: "bot", reason: "member_removed" },
    }),
  ]);
  expect(await eventsOf(() => storage.removeMember(organizationId, user.id, NO_TOKENS, change))).toEqual([]);

  // One of two is left to be revoked with its like.
  const selection = someSelection(organizationId, { profile: "plane", type: "bot", namePrefix: "de" });
  const [, wholly, single] = [0, ...(await eventsOf(() => storage.revokeTokens(selection, change)))];
  const criteria = { count: "1", profile: "plane", type: "bot", name_prefix: "de" };
  expect(wholly).toEqual(event("tokens.revoked_many", { details: criteria }));
  expect(single).toMatchObject({ action: "token.revoked", details: { profile: "plane", type: "bot", bulk: "true" } });
  expect(await eventsOf(() => storage.revokeTokens(selection, change))).toEqual([]);
  expect(await eventsOf(() => storage.countTokens(selection, NOW))).toEqual([]);
  const purged = await eventsOf(() => storage.purgeTokens(after(6), 10, change));
  const ended = { profile: "plane", type: "bot", ended_at: after(5).toISOString() };
  expect(purged).toHaveLength(3);
  expect(purged).toContainEqual(event("token.purged", { ...ofToken, details: ended }));
  expect(await eventsOf(() => storage.purgeTokens(after(6), 10, change))).toEqual([]);
  expect(await eventsOf(() => storage.sweepSessions(after(1e9), 10))).toEqual([]);
}

/** Each change of a token's settings tells the old and the new ones. Ends with those that it began with. */
async function checkEventsOfUpdates(
  storage: Storage,
  token: Omit<Token, "revision">,
  eventsOf: (write: () => Promise<unknown>) => Promise<unknown[]>,
  event: (action: string, fields: object) => object,
): Promise<void> {
  const { id, profile, type } = token;
  const original = settingsOf(token);
  const update = async (settings: TokenSettings, ifRevision?: number): Promise<unknown[]> => {
    const revision = ifRevision ?? (await storage.getToken(id))?.revision ?? 0;
    return eventsOf(() => storage.updateToken(id, settings, revision, changeBy("usr_author", after(5))));
  };
  const details = { profile, type };
  expect(await update(original)).toEqual([]);
  expect(await update({ ...original, enabled: false })).toEqual([event("token.disabled", { details })]);
  expect(await update({ ...original, enabled: false })).toEqual([]);
  expect(await update(original, 1)).toEqual([]);
  expect(await update(original)).toEqual([event("token.enabled", { details })]);

  const expiresAt = after(2_000);
  const other = {
    name: "build",
    enabled: false,
    permission: "",
    scopes: ["c"],
    ipAllowlist: [],
    expiresAt,
    metadata: { note: "nor is this" },
  };
  const wholly = {
    ...details,
    name_before: "deploy",
    name: "build",
    enabled_before: "true",
    enabled: "false",
    permission_before: "read",
    scopes_before: "a b",
    scopes: "c",
    ip_allowlist_before: "192.0.2.1 2001:db8::/32",
    expires_at_before: after(1_000).toISOString(),
    expires_at: expiresAt.toISOString(),
    metadata: "changed",
  };
  expect(await update(other)).toEqual([
    event("token.updated", { targetName: "build", scopes: ["c"], details: wholly }),
  ]);
  const forever = { ...other, expiresAt: undefined };
  expect(await update(forever)).toEqual([
    event("token.updated", {
      targetName: "build",
      scopes: ["c"],
      details: { ...details, expires_at_before: expiresAt.toISOString() },
    }),
  ]);
  const labelled = { ...forever, metadata: { note: "nor is this", more: "nor this" } };
  const ofLabels = event("token.updated", {
    targetName: "build",
    scopes: ["c"],
    details: { ...details, metadata: "changed" },
  });
  expect(await update(labelled)).toEqual([ofLabels]);
  const shuffled = { more: "nor this", note: "nor is this" };
  expect(await update({ ...labelled, metadata: shuffled })).toEqual([]);
  expect(await update(original)).toHaveLength(1);
}

/** E1. Of every three changes at once the event of one can't be stored, a thousand times. */
export async function checkNoChangeWithoutEvent({ storage, failEvents }: StorageSubject): Promise<void> {
  const change = someChange();
  const organization = someOrganization();
  const { id: organizationId } = organization;
  const [owner, member] = [someUser(), someUser()];
  const token = someToken({ organizationId });
  const ended = someToken({ organizationId, expiresAt: after(-1) });
  const presented = someFingerprint();
  const session = someSession({ organizationId, userId: owner.id });
  const empty = someOrganization();
  await storage.createOrganization(organization, change);
  await storage.createOrganization(empty, change);
  for (const [user, role] of [
    [owner, "owner"],
    [member, "member"],
  ] as const) {
    await storage.addMember({ organizationId, role, createdAt: NOW }, user, change);
  }
  const { revision } = await storage.createToken(token, change);
  const inOverlap = someToken({ organizationId });
  const { id: idInOverlap } = inOverlap.token;
  const rotation = someRotation(await storage.createToken(inOverlap, change), { overlapEndsAt: after(9) });
  await storage.rotateToken(idInOverlap, rotation, change);
  await storage.createToken(ended, change);
  await storage.createSession(session, presented, change);
  await storage.rotateRefreshToken({ presented, next: someFingerprint() }, change);
  const link = { fingerprint: someFingerprint(), userId: owner.id, expiresAt: after(9) };
  await storage.createPasswordLink(link, change);
  const offered = someInvitation(organizationId);
  await storage.createInvitation(offered, change);

  const fresh = {
    organizations: [] as string[],
    users: [] as string[],
    tokens: [] as string[],
    sessions: [] as string[],
  };
  const note = <T extends { readonly id: string }>(kind: keyof typeof fresh, made: T): T => {
    fresh[kind].push(made.id);
    return made;
  };
  const snapshot = async () => ({
    organizations: await storage.listOrganizations(undefined, 10_000),
    members: await storage.listMembers(organizationId, undefined, 10_000),
    tokens: await storage.listTokens(everyToken(organizationId, { limit: 10_000 })),
    session: await storage.getSession(session.id),
    invitations: await storage.listInvitations(organizationId, NOW),
    linked: await storage.findPasswordLink(link.fingerprint, NOW),
    secrets: await Promise.all(
      [token, inOverlap, rotation].map(async ({ fingerprint }) => storage.findTokenByFingerprint(fingerprint)),
    ),
    events: await storage.listEvents(everyEvent()),
    made: await Promise.all([
      ...fresh.organizations.map((id) => storage.getOrganization(id)),
      ...fresh.users.map((id) => storage.getUser(id)),
      ...fresh.tokens.map((id) => storage.getToken(id)),
      ...fresh.sessions.map((id) => storage.getSession(id)),
    ]),
  });
  const before = await snapshot();
  await failEvents("doomed");
  const doomed = someChange({ requestId: "doomed" });
  const writes: readonly (() => Promise<unknown>)[] = [
    () => storage.createOrganization(note("organizations", someOrganization()), doomed),
    () => storage.setPlan(organizationId, "pro", doomed),
    () => storage.setProfile(empty.id, "plane", "pro", doomed),
    () => storage.addMember({ organizationId, role: "admin", createdAt: NOW }, note("users", someUser()), doomed),
    () => storage.setMemberRole(organizationId, member.id, "owner", doomed),
    () => storage.putMembership({ organizationId, userId: member.id, role: "admin", createdAt: NOW }, doomed),
    () => storage.removeMember(organizationId, member.id, NO_TOKENS, doomed),
    () => {
      const created = someToken({ organizationId });
      note("tokens", created.token);
      return storage.createToken(created, doomed);
    },
    () => storage.updateToken(token.token.id, someSettings({ enabled: false }), revision, doomed),
    () => {
      const created = someToken({ organizationId });
      note("tokens", created.token);
      return storage.importTokens([created], [someHmacScheme()], doomed);
    },
    () => storage.revokeToken(token.token.id, doomed),
    () => storage.rotateToken(token.token.id, someRotation({ revision }, { overlapEndsAt: after(9) }), doomed),
    () => storage.finishRotation(idInOverlap, doomed),
    () => storage.cancelRotation(idInOverlap, doomed),
    () => storage.revokeTokens(someSelection(organizationId), doomed),
    () => storage.purgeTokens(NOW, 10, doomed),
    () => {
      const another = note("sessions", someSession({ organizationId, userId: owner.id }));
      return storage.createSession(another, someFingerprint(), doomed);
    },
    () => storage.rotateRefreshToken({ presented, next: someFingerprint() }, doomed),
    () => storage.endSession(session.id, doomed),
    () => storage.linkIdentity(someIdentity(), owner.email, "new hash", doomed),
    () => storage.register(note("organizations", someOrganization()), note("users", someUser()), doomed),
    () => storage.createInvitation(someInvitation(organizationId), doomed),
    () => storage.revokeInvitation(organizationId, offered.invitation.id, doomed),
    () => storage.acceptInvitation(offered.fingerprint, { kind: "newcomer", user: note("users", someUser()) }, doomed),
    () => storage.createPasswordLink({ ...link, fingerprint: someFingerprint() }, doomed),
    () => storage.resetPassword(link.fingerprint, "new hash", doomed),
    () => storage.register(note("organizations", someOrganization()), owner, doomed),
    () => {
      const password = { before: owner.passwordHash, after: "new hash", keptSessionId: session.id };
      return storage.changePassword(owner.id, password, doomed);
    },
    () => storage.recordSignInFailure(owner.id, "wrong_password", doomed),
  ];
  const good: string[] = [];
  const kinds = new Set<string>();
  const settle = async (write: () => Promise<unknown>): Promise<void> => {
    const outcome = await write().then(
      () => "done",
      (error: unknown) => (error instanceof AppError ? error.kind : String(error)),
    );
    kinds.add(outcome);
  };
  for (let injected = 0; injected < 1_000; ) {
    const all: Promise<unknown>[] = [];
    for (let place = 0; place < 50; place++, injected++) {
      all.push(settle(writes[injected % writes.length] ?? (() => Promise.resolve())));
      if (place % 25 === 0) {
        const neighbour = someOrganization();
        good.push(neighbour.id);
        all.push(storage.createOrganization(neighbour, change));
      }
    }
    await Promise.all(all);
  }
  expect([...kinds]).toEqual(["unavailable"]);

  const { organizations, events, made, ...rest } = await snapshot();
  const { members, tokens, session: sessionBefore, linked, invitations, secrets } = before;
  expect(rest).toEqual({ members, tokens, session: sessionBefore, linked, invitations, secrets });
  expect(made.filter((entity) => entity !== undefined)).toEqual([]);
  const isGood = ({ id }: { readonly id: string }) => good.includes(id);
  expect(organizations.filter((one) => !isGood(one))).toEqual(before.organizations);
  expect(organizations.filter(isGood)).toHaveLength(good.length);
  expect(events.length).toBe(before.events.length + good.length);
  checkChains(events);
}

/** E2 and E3. Eight writers at once, in chains that all of them write to. */
export async function checkConcurrentChains(storage: Storage, changesPerWriter: number): Promise<void> {
  const organizations = [someOrganization(), someOrganization()];
  for (const organization of organizations) await storage.createOrganization(organization, someChange());
  const before = (await storage.listEvents(everyEvent())).length;
  const revisions = new Map<string, number>();
  const writer = async (number: number): Promise<void> => {
    for (let done = 0; done < changesPerWriter; done++) {
      const organizationId = organizations[(number + done) % 2]?.id ?? "";
      if (done % 2 === 0) {
        const created = someToken({ organizationId });
        const { id, revision } = await storage.createToken(created, someChange());
        revisions.set(`token.issued ${toPublicId("tok", id)}`, revision);
        if (done % 4 === 0) continue;
        const revoked = await storage.revokeToken(id, someChange());
        revisions.set(`token.revoked ${toPublicId("tok", id)}`, revoked?.revision ?? 0);
        done++;
      } else {
        await storage.setPlan(organizationId, `plan ${number} ${done}`, someChange());
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, number) => writer(number)));

  const events: AuditEvent[] = [];
  for (;;) {
    const page = await storage.listEvents(everyEvent({ after: events.at(-1)?.revision, limit: 1_000 }));
    if (page.length === 0) break;
    events.push(...page);
  }
  expect(events.length).toBeGreaterThanOrEqual(before + 8 * Math.floor(changesPerWriter * 0.9));
  checkChains(events);
  const ofTokens = events.filter(({ action }) => action.startsWith("token."));
  const written = new Map(ofTokens.map(({ action, target, revision }) => [`${action} ${target}`, revision]));
  for (const [key, revision] of revisions) expect(written.get(key)).toBe(revision);
}

/** Throws unless these, in the order of the log, are whole chains with strictly increasing revisions. */
export function checkChains(events: readonly AuditEvent[]): void {
  const heads = new Map<string, ChainHead>();
  let revision = 0;
  for (const event of events) {
    expect(event.revision).toBeGreaterThan(revision);
    revision = event.revision;
    const fault = findFault(heads.get(event.organizationId) ?? EMPTY_CHAIN, event);
    if (fault !== undefined) throw new Error(`expected a whole chain, and found ${fault} at ${event.sequence}`);
    heads.set(event.organizationId, event);
  }
}

/** R5. The storage is empty or not. */
export async function checkSignInFailures(storage: Storage): Promise<void> {
  const change: Change = { ...someChange(), actor: { kind: "anonymous", id: "anonymous" } };
  const [one, two, other] = [someOrganization(), someOrganization(), someOrganization()];
  const [user, loner] = [someUser(), someUser()];
  for (const organization of [one, two, other]) await storage.createOrganization(organization, change);
  for (const { id: organizationId } of [one, two]) {
    await storage.addMember({ organizationId, role: "owner", createdAt: NOW }, user, change);
  }
  await storage.createUser(loner);
  const last = (await storage.listEvents(everyEvent())).at(-1)?.revision;
  await storage.recordSignInFailure(user.id, "wrong_password", change);
  await storage.recordSignInFailure(loner.id, "not_a_member", change);
  await storage.recordSignInFailure(undefined, "unknown_address", change);
  await storage.recordSignInFailure(randomUUID(), "unknown_address", change);

  const events = await storage.listEvents(everyEvent({ after: last }));
  const known = { target: toPublicId("usr", user.id), targetName: user.email, details: { reason: "wrong_password" } };
  const unknown = { target: "", targetName: "", details: { reason: "unknown_address" } };
  const lonely = { target: toPublicId("usr", loner.id), targetName: loner.email, details: { reason: "not_a_member" } };
  for (const event of events) expect(event).toMatchObject({ ...change, action: "user.sign_in_failed" });
  const [first, second, ...rest] = events;
  expect(new Set([first?.organizationId, second?.organizationId])).toEqual(new Set([one.id, two.id]));
  for (const event of [first, second]) expect(event).toMatchObject(known);
  const ofSystem = { organizationId: SYSTEM_ORGANIZATION_ID };
  expect(rest).toMatchObject([
    { ...ofSystem, ...lonely },
    { ...ofSystem, ...unknown },
    { ...ofSystem, ...unknown },
  ]);
}

/** F1. Nothing else writes. */
export async function checkChangesAreCounted(storage: Storage): Promise<void> {
  const organization = someOrganization();
  const { token, fingerprint } = someToken({ organizationId: organization.id });
  const writes = [
    () => storage.createOrganization(organization, someChange()),
    () => storage.createToken({ token, fingerprint }, someChange()),
    () => storage.setPlan(organization.id, "another", someChange()),
    () => storage.revokeToken(token.id, someChange()),
    () => Promise.all(Array.from({ length: 20 }, () => storage.createOrganization(someOrganization(), someChange()))),
  ];
  const seen = new Set([storage.changeCount()]);
  for (const write of writes) {
    await write();
    const count = storage.changeCount();
    expect(seen).not.toContain(count);
    seen.add(count);
  }
}
