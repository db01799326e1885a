/** The dashboard's pages in a real browser: for people of each role, and when things go wrong. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { dayOf } from "../../src/domain/daily-uses.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import {
  type Browser,
  isFocused,
  launchChromium,
  openVisitor,
  type Page,
  seriousFaults,
  takePictures,
} from "../helpers/chromium.ts";
import { startIdentityProvider } from "../helpers/identity-provider.ts";
import { Mailbox } from "../helpers/mailbox.ts";
import { Page as Caller } from "../helpers/page.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { type Person, startTestApp, type TestApp } from "../helpers/test-app.ts";

// A browser has patience on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const DAY_MS = 86_400_000;

let test: TestApp;
let mailbox: Mailbox;
let browser: Browser;
/** Milliseconds that the service's clock is ahead. */
let aheadMs = 0;
let admin: Pick<Person, "email" | "password">;

beforeAll(async () => {
  mailbox = await Mailbox.open();
  const surroundings = { clock: () => Date.now() + aheadMs };
  const env = { ...mailbox.env, LATCHKEY_PROFILE: "walwarden" };
  [test, browser] = await Promise.all([startTestApp({ env, surroundings }), launchChromium()]);
  admin = { email: test.credentials.adminEmail, password: test.credentials.adminPassword };
  await fillList();
});

afterAll(async () => {
  await browser.close();
  await test[Symbol.asyncDispose]();
  await mailbox[Symbol.asyncDispose]();
});

const settings = (section: string, organizationId = test.credentials.organizationId): string =>
  `/o/${organizationId}/settings/${section}`;

async function fillSignIn(page: Page, { email, password }: Pick<Person, "email" | "password">): Promise<void> {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Somebody who is signed in, on a page of theirs. */
async function openAs(person: Pick<Person, "email" | "password">, path: string) {
  const visitor = await openVisitor(browser, test.app.httpAddress);
  await visitor.page.goto(path);
  await fillSignIn(visitor.page, person);
  await visitor.page.getByRole("link", { name: "Your account" }).waitFor();
  return visitor;
}

/** A page that calls without a browser, to set things up. */
async function callerAs(person: Pick<Person, "email" | "password">): Promise<Caller> {
  const caller = new Caller(test.app);
  await caller.call(DashboardService.method.signIn, { email: person.email, password: person.password });
  return caller;
}

async function issue(name: string, scopes: readonly string[] = [], days?: number): Promise<string> {
  const caller = await callerAs(admin);
  const expiresAt =
    days === undefined ? {} : { expiresAt: { seconds: BigInt(Math.floor((Date.now() + days * DAY_MS) / 1000)) } };
  const request = { name, scopes: [...scopes], idempotencyKey: crypto.randomUUID(), ...expiresAt };
  const { value } = await caller.call(TokenService.method.issue, request);
  return fromPublicId("tok", value?.token?.id ?? "") ?? "";
}

/** Three tokens: one in use, one forgotten, and one whose time runs out. */
async function fillList(): Promise<void> {
  aheadMs = -120 * DAY_MS;
  const [deploy, forgotten] = [
    await issue("terraform-ci", ["databases:read", "databases:write", "destinations:read"]),
    await issue("old-export", ["evidence:export"]),
  ];
  aheadMs = -20 * DAY_MS;
  const monitor = await issue("backup-monitor", ["backups:trigger", "readiness:read"], 9);
  aheadMs = 0;
  const today = dayOf(Date.now());
  const use = (tokenId: string, daysAgo: number, uses: (day: number) => number) => ({
    tokenId,
    secret: "current" as const,
    usedAt: new Date(Date.now() - daysAgo * DAY_MS - 3 * 3_600_000),
    address: "203.0.113.9",
    daily: Array.from({ length: 89 }, (_, index) => ({ day: today - index - daysAgo, uses: uses(index) })),
  });
  await test.app.deployment.storage.recordUses([
    use(deploy, 0, (day) => 40 + Math.round(30 * Math.sin(day / 3)) + (day % 7 < 2 ? 0 : 25)),
    {
      ...use(monitor, 0, () => 96),
      daily: Array.from({ length: 19 }, (_, index) => ({ day: today - index, uses: 96 + (index % 3) })),
    },
    use(forgotten, 100, () => 3),
  ]);
}

describe("the list of tokens", () => {
  it("says how each of them is: its use, its age, its end", async () => {
    const { page, context, faults } = await openAs(admin, settings("api-tokens"));
    const row = (name: string) => page.getByRole("row", { name: new RegExp(name) });
    await row("terraform-ci").getByText("Rotation due").waitFor();
    expect(await row("terraform-ci").textContent()).not.toContain("Unused");
    expect(await row("terraform-ci").textContent()).toMatch(/databases:read\s*databases:write/);
    expect(await row("terraform-ci").getByRole("img").getAttribute("aria-label")).toMatch(
      /^Used [\d,]{4,} times in 90 days$/,
    );
    expect(await row("terraform-ci").textContent()).toContain("3 hours ago");
    expect(await row("old-export").getByText("Unused for 90 days").isVisible()).toBe(true);
    expect(await row("old-export").getByRole("img").getAttribute("aria-label")).toBe("Not used in 90 days");
    expect(await row("backup-monitor").getByText("Expires soon").isVisible()).toBe(true);
    expect(await row("backup-monitor").textContent()).not.toContain("Rotation due");
    expect(await seriousFaults(page)).toEqual([]);
    await takePictures(page, "tokens");

    await page.getByLabel("Name starts with").fill("terra");
    await row("old-export").waitFor({ state: "detached" });
    expect(await row("terraform-ci").isVisible()).toBe(true);
    await page.getByLabel("State").selectOption("Revoked");
    await page.getByRole("heading", { name: "No token matches" }).waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await row("old-export").waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  it("is shown a page at a time", async () => {
    const organizationId = await test.addOrganization("watchplane");
    const owner = await test.addMember("owner", organizationId);
    const caller = await callerAs(owner);
    for (let index = 0; index < 55; index++) await caller.call(TokenService.method.issue, { name: `token ${index}` });
    const { page, context } = await openAs(owner, "/");
    await page.getByRole("row", { name: /token 54/ }).waitFor();
    expect(await page.getByRole("row").count()).toBe(51);
    await page.getByRole("button", { name: "Show more" }).click();
    await page.getByRole("row", { name: /token 0 / }).waitFor();
    expect(await page.getByRole("row").count()).toBe(56);
    expect(await page.getByRole("button", { name: "Show more" }).count()).toBe(0);
    await context.close();
  });

  it("is worked with the keyboard alone", async () => {
    await issue("keyboard");
    const { page, context } = await openAs(admin, settings("api-tokens"));
    const revoke = page.getByRole("button", { name: "Revoke “keyboard”" });
    await revoke.focus();
    await page.keyboard.press("Enter");
    // The dialog has the focus, keeps it, and gives it back.
    for (let press = 0; press < 8; press++) {
      await page.keyboard.press("Tab");
      const place = await page.evaluate<string>(
        "document.activeElement.closest('dialog') ? 'inside' : document.activeElement.tagName",
      );
      // The browser's own controls come in between.
      expect(["inside", "BODY"]).toContain(place);
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await isFocused(revoke)).toBe(true);
    await page.keyboard.press("Enter");
    await page.getByLabel("to confirm").focus();
    await page.keyboard.type("keyboard");
    await page.keyboard.press("Enter");
    await page
      .getByRole("row", { name: /keyboard/ })
      .getByText("Revoked")
      .waitFor();
    // The first stop of the page leads past the navigation.
    await page.reload();
    await page.getByRole("heading", { name: "API tokens" }).waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("main");
    await context.close();
  });
});

describe("a member", () => {
  it("sees everything that a member may see, and no controls", async () => {
    const member = await test.addMember("member");
    const { page, context, faults } = await openAs(member, settings("api-tokens"));
    await page.getByRole("row", { name: /terraform-ci/ }).waitFor();
    expect(await page.getByRole("main").getByRole("button").allTextContents()).toEqual(["Refresh"]);
    expect(await page.getByRole("link", { name: "Audit log" }).count()).toBe(0);
    await takePictures(page, "tokens-member");
    await page.getByRole("link", { name: "Members" }).click();
    await page.getByRole("row", { name: new RegExp(member.email) }).waitFor();
    expect(await page.getByRole("main").getByRole("button").allTextContents()).toEqual(["Leave"]);
    expect(await page.getByRole("main").getByRole("combobox").count()).toBe(0);
    // What is closed leads to what is open.
    await page.goto(settings("audit-log"));
    await page.getByRole("heading", { name: "API tokens" }).waitFor();
    await page.goto(settings("api-tokens", "org_00000000000000000000000000"));
    await page.getByRole("heading", { name: "API tokens" }).waitFor();
    expect(new URL(page.url()).pathname).toBe(settings("api-tokens"));
    expect(faults).toEqual([]);
    await context.close();
  });

  it("of Plane looks after keys of their own, and no others", async () => {
    const organizationId = await test.addOrganization("plane");
    const [owner, member] = [
      await test.addMember("owner", organizationId),
      await test.addMember("member", organizationId),
    ];
    const caller = await callerAs(owner);
    await caller.call(TokenService.method.issue, { name: "theirs", type: "api_key" });
    const { page, context } = await openAs(member, "/");
    await page.getByRole("row", { name: /theirs/ }).waitFor();
    expect(
      await page
        .getByRole("row", { name: /theirs/ })
        .getByRole("button")
        .count(),
    ).toBe(0);
    await page.getByRole("button", { name: "Generate New Token" }).first().click();
    // Of the two types a member has one, so there is nothing to choose.
    expect(await page.getByRole("radio").count()).toBe(0);
    await page.getByLabel("Name", { exact: true }).fill("mine");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("button", { name: "Copy the token" }).click();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "I have kept it" }).click();
    expect(await page.getByRole("row", { name: /mine/ }).getByRole("button").allTextContents()).toEqual([
      "Rotate",
      "Disable",
      "Revoke",
    ]);
    await context.close();
  });
});

describe("when something is wrong", () => {
  it("an ended session leads to the sign-in, and back to where one was", async () => {
    const { page, context } = await openAs(admin, settings("members"));
    await page.getByRole("row", { name: new RegExp(admin.email) }).waitFor();
    aheadMs = 8 * DAY_MS;
    await page.getByRole("link", { name: "Organization" }).click();
    await page.getByRole("link", { name: "API tokens" }).click();
    await page.getByText("Your session has ended. Sign in to go on where you were.").waitFor();
    await takePictures(page, "session-ended");
    await fillSignIn(page, admin);
    await page.getByRole("heading", { name: "API tokens", level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe(settings("api-tokens"));
    aheadMs = 0;
    await context.close();
  });

  it("a lost network is said, and tried again", async () => {
    const { page, context } = await openAs(admin, settings("api-tokens"));
    await page.getByRole("row", { name: /terraform-ci/ }).waitFor();
    await context.setOffline(true);
    await page.getByRole("button", { name: "Refresh" }).click();
    const lost = page.getByText("The service can’t be reached. Check your connection, then try again.");
    await lost.waitFor();
    await takePictures(page, "offline");
    // What was there stays.
    expect(await page.getByRole("row", { name: /terraform-ci/ }).isVisible()).toBe(true);

    // A form keeps what was typed, and a retry makes one token and not two.
    await page.getByRole("button", { name: "Issue token" }).click();
    await page.getByLabel("Name", { exact: true }).fill("typed once");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("dialog").getByText("The service can’t be reached").waitFor();
    await context.setOffline(false);
    // This answer is lost on its way.
    await page.route("**/latchkey.v1.TokenService/Issue", async (route) => {
      expect((await route.fetch()).status()).toBe(200);
      await route.abort();
    });
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("dialog").getByText("The service can’t be reached").waitFor();
    await page.unroute("**/latchkey.v1.TokenService/Issue");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("button", { name: "Copy the token" }).click();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "I have kept it" }).click();
    await page.getByRole("row", { name: /typed once/ }).waitFor();
    expect(await page.getByRole("row", { name: /typed once/ }).count()).toBe(1);
    expect(await lost.count()).toBe(0);

    await context.setOffline(true);
    await page.getByRole("link", { name: "Members" }).click();
    await lost.waitFor();
    await context.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("row", { name: new RegExp(admin.email) }).waitFor();
    await context.close();
  });

  it("a refusal is said at its field, in words", async () => {
    const { page, context } = await openAs(admin, settings("account"));
    await page.getByLabel("Current password").fill("wrong");
    await page.getByLabel("New password").fill("short");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("This must have at least 10 characters.").waitFor();
    const field = page.getByLabel("New password");
    expect(await field.getAttribute("aria-invalid")).toBe("true");
    expect(await isFocused(field)).toBe(true);
    await field.fill("another good passphrase");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("This is wrong.").waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await takePictures(page, "account");
    await context.close();
  });

  it("too many sign-ins are told when to come back", async () => {
    await using other = await startTestApp({ env: { LATCHKEY_LOGIN_LIMIT: "1/15m", LATCHKEY_REGISTRATION: "off" } });
    const { page, context } = await openVisitor(browser, other.app.httpAddress);
    await page.goto("/");
    for (const text of [
      /The email or the password is wrong\./,
      /That was too often\. Try again in \d+ (?:minutes|seconds)\./,
    ]) {
      await fillSignIn(page, { email: "nobody@acme.example", password: "wrong" });
      await page.getByText(text).waitFor();
    }
    expect(await page.getByRole("link", { name: "Register" }).count()).toBe(0);
    await page.goto("/register");
    await page.getByText("People can’t register here by themselves.").waitFor();
    await page.goto("/restore-password");
    await page.getByText("This service sends no mail.").waitFor();
    await context.close();
  });
});

describe("members", () => {
  it("are invited by letter, join, get another role, and are removed", async () => {
    const organizationId = await test.addOrganization("watchmantower");
    const owner = await test.addMember("owner", organizationId);
    const { page, context, faults } = await openAs(owner, settings("members", organizationId));
    await page.getByRole("button", { name: "Invite" }).click();
    await page.getByLabel("Email").fill("grace@acme.example");
    await page.getByRole("dialog").getByLabel("Role").selectOption("Admin");
    await takePictures(page, "invite");
    await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
    await page.getByText("A letter to grace@acme.example is on its way.").waitFor();
    await page.getByRole("row", { name: /grace@acme\.example/ }).waitFor();
    await test.app.outbox?.settled();

    const guest = await openVisitor(browser, test.app.httpAddress);
    await guest.page.goto(`/accept-invitation#token=${mailbox.token}`);
    await guest.page.getByRole("heading", { name: "You are invited" }).waitFor();
    // The token stands in no history.
    expect(new URL(guest.page.url()).hash).toBe("");
    await guest.page.getByLabel("Password").fill("a passphrase of grace");
    expect(await seriousFaults(guest.page)).toEqual([]);
    await takePictures(guest.page, "accept-invitation");
    await guest.page.getByRole("button", { name: "Accept" }).click();
    await guest.page.getByRole("main").getByRole("link", { name: "Sign in" }).click();
    await fillSignIn(guest.page, { email: "grace@acme.example", password: "a passphrase of grace" });
    await guest.page.getByRole("heading", { name: "API Keys", level: 1 }).waitFor();

    await page.reload();
    const row = page.getByRole("row", { name: /grace@acme\.example/ });
    await row.waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await takePictures(page, "members");
    await page.getByLabel("Role of grace@acme.example").selectOption("Member");
    await page.getByText("grace@acme.example is member now.").waitFor();
    // At once: the next page that she opens has no place for it.
    await guest.page.reload();
    await guest.page.getByRole("heading", { name: "API Keys", level: 1 }).waitFor();
    expect(await guest.page.getByRole("link", { name: "Audit log" }).count()).toBe(0);

    await row.getByRole("button", { name: "Remove grace@acme.example" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
    await guest.page.getByRole("button", { name: "Refresh" }).click();
    await guest.page.getByText("Your session has ended.").waitFor();
    expect(faults).toEqual([]);
    await guest.context.close();
    await context.close();
  });

  it("of one organization join another with the account that they have, and go from one to the other", async () => {
    const organizationId = await test.addOrganization("plane");
    const owner = await test.addMember("owner", organizationId);
    const host = await openAs(owner, settings("members", organizationId));
    await host.page.getByRole("button", { name: "Invite" }).click();
    await host.page.getByLabel("Email").fill(admin.email);
    await host.page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
    await host.page.getByRole("row", { name: new RegExp(admin.email) }).waitFor();
    await test.app.outbox?.settled();
    await host.context.close();

    const { page, context, faults } = await openVisitor(browser, test.app.httpAddress);
    await page.goto(`/accept-invitation#token=${mailbox.token}`);
    await page.getByRole("button", { name: "I have an account with this address" }).click();
    await fillSignIn(page, admin);
    await page.getByText(`You are signed in as ${admin.email}.`).waitFor();
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByRole("heading", { name: "API Tokens", level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe(settings("api-tokens", organizationId));
    expect(await page.title()).toBe("API Tokens · Plane");

    // Two tabs, two organizations: what is done in one of them is never done in the other's.
    const other = await context.newPage();
    await other.goto(settings("api-tokens"));
    await other.getByRole("row", { name: /terraform-ci/ }).waitFor();
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByRole("heading", { name: "No tokens yet" }).waitFor();
    expect(await page.title()).toBe("API Tokens · Plane");
    await page.getByLabel("Organization", { exact: true }).selectOption("acme");
    await page.getByRole("row", { name: /terraform-ci/ }).waitFor();
    expect(new URL(page.url()).pathname).toBe(settings("api-tokens"));
    await page.goBack();
    await page.getByRole("heading", { name: "API Tokens", level: 1 }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  it("get a link to hand over where no mail is sent", async () => {
    await using other = await startTestApp();
    const { adminEmail: email, adminPassword: password } = other.credentials;
    const { page, context } = await openVisitor(browser, other.app.httpAddress);
    await page.goto(settings("members", other.credentials.organizationId));
    await fillSignIn(page, { email, password });
    await page.getByRole("button", { name: "Invite" }).click();
    await page.getByLabel("Email").fill("linus@acme.example");
    await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
    const link = (await page.getByRole("dialog").locator("code").textContent()) ?? "";
    expect(link).toMatch(new RegExp(`^http://${other.app.httpAddress}/accept-invitation#token=lkl_[\\w-]{43}$`));
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Withdraw the invitation of linus@acme.example" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
    await page.getByRole("row", { name: /linus/ }).waitFor({ state: "detached" });
    const guest = await openVisitor(browser, other.app.httpAddress);
    await guest.page.goto(link);
    await guest.page.getByLabel("Password").fill("a passphrase of linus");
    await guest.page.getByRole("button", { name: "Accept" }).click();
    await guest.page.getByText("This is used up, too old, or never was: ask for another link.").waitFor();
    await guest.context.close();
    await context.close();
  });
});

describe("a password", () => {
  it("that was forgotten is restored by letter, and changed by whoever is signed in", async () => {
    const person = await test.addMember("admin");
    const { page, context, faults } = await openVisitor(browser, test.app.httpAddress);
    await page.goto("/sign-in");
    await page.getByRole("link", { name: "Forgot your password?" }).click();
    await page.getByLabel("Email").fill(person.email);
    await takePictures(page, "restore-password");
    await page.getByRole("button", { name: "Send the link" }).click();
    await page.getByText("a letter with a link is on its way").waitFor();
    await test.app.outbox?.settled();
    await page.goto(`/restore-password#token=${mailbox.token}`);
    await page.getByLabel("New password").fill("a restored passphrase");
    expect(await seriousFaults(page)).toEqual([]);
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("Your password is changed").waitFor();
    await page.getByRole("main").getByRole("link", { name: "Sign in" }).first().click();
    await fillSignIn(page, { email: person.email, password: "a restored passphrase" });

    await page.getByRole("link", { name: "Your account" }).click();
    await page.getByLabel("Current password").fill("a restored passphrase");
    await page.getByLabel("New password").fill("a changed passphrase");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("Your password is changed. You are signed out everywhere else.").waitFor();
    await page.getByRole("link", { name: "Organization" }).click();
    await page.getByRole("row", { name: /Team/ }).getByText("Yours").waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await takePictures(page, "organization");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await context.cookies()).toEqual([]);
    await page.goBack();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});

describe("what keeps watch in these tests", () => {
  it("finds what keeps people out", async () => {
    const { page, context } = await openVisitor(browser, test.app.httpAddress);
    await page.goto("/sign-in");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await seriousFaults(page, ["light"])).toEqual([]);
    await page.evaluate("document.querySelector('main').append(document.createElement('input'))");
    expect((await seriousFaults(page, ["light"])).join()).toContain("label");
    await context.close();
  });

  it("finds scripts, styles and calls that the policy forbids", async () => {
    const { page, context, faults } = await openVisitor(browser, test.app.httpAddress);
    await page.goto("/sign-in");
    const outcome = await page.evaluate<string>(`
      new Promise((resolve) => {
        const script = document.createElement("script");
        try { script.textContent = "globalThis.ran = true"; document.body.append(script); } catch {}
        fetch("https://elsewhere.example/").then(() => resolve("called"), () => resolve(String(globalThis.ran)));
      })
    `);
    expect(outcome).toBe("undefined");
    expect(faults.join()).toMatch(/Content Security Policy|TrustedScript|Trusted Types/);
    await context.close();
  });
});

describe("sign-in by another service", () => {
  it("is offered where there is one, and leads there", async () => {
    await using folder = await temporaryFolder();
    await using provider = await startIdentityProvider();
    const [file, secretFile] = [join(folder.path, "identity.json"), join(folder.path, "secret")];
    await writeFile(secretFile, provider.client.secret);
    const { issuer, client } = provider;
    const acme = { name: "acme", label: "Acme", issuer, client_id: client.id, client_secret_file: secretFile };
    await writeFile(file, JSON.stringify({ sign_in: [acme] }));
    const env = { LATCHKEY_IDENTITY_FILE: file, LATCHKEY_PUBLIC_URL: "http://127.0.0.1:1" };
    await using offering = await startTestApp({ env });
    const { page, faults } = await openVisitor(browser, offering.app.httpAddress);
    await page.goto("/sign-in");
    await page.getByRole("link", { name: "Sign in with Acme" }).click();
    await page.waitForURL((url) => url.origin === issuer);
    expect(provider.requests.some((path) => path.startsWith("/auth?"))).toBe(true);
    expect(faults).toEqual([]);
  });
});
