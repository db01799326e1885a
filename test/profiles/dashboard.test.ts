/** What the source documents say of the dashboard, in a real browser. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { type Browser, launchChromium, openVisitor, type Page } from "../helpers/chromium.ts";
import { type Person, startTestApp, type TestApp } from "../helpers/test-app.ts";

// A browser has patience on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let test: TestApp;
let browser: Browser;

beforeAll(async () => {
  [test, browser] = await Promise.all([startTestApp(), launchChromium()]);
});

afterAll(async () => {
  await browser.close();
  await test[Symbol.asyncDispose]();
});

async function openAs(person: Person, path = "/") {
  const visitor = await openVisitor(browser, test.app.httpAddress);
  const { page } = visitor;
  await page.goto(path);
  await page.getByLabel("Email").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: /^API/ }).waitFor();
  return visitor;
}

/** An owner in a new organization of a product. */
async function openAt(profile: string) {
  const organizationId = await test.addOrganization(profile);
  const owner = await test.addMember("owner", organizationId);
  return { ...(await openAs(owner)), organizationId, owner };
}

const settingsLink = (page: Page, name: string) =>
  page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name, exact: true });

/** Goes where the page says, makes one, and answers its secret as copied. */
async function make(page: Page, title: string, label: string, noun: string): Promise<string> {
  await settingsLink(page, title).click();
  await page.getByRole("button", { name: label }).first().click();
  await page.getByLabel("Name", { exact: true }).fill("CI pipeline");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("button", { name: `Copy the ${noun}` }).click();
  return page.evaluate<string>("navigator.clipboard.readText()");
}

async function dismiss(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "I have kept it" }).click();
  await page.getByRole("row", { name: /CI pipeline/ }).waitFor();
}

describe("the dashboard", () => {
  it("[watchplane-tokens-07] has “New token” under Settings → API Tokens, with a name, Create, and the token to copy", async () => {
    const { page, context } = await openAt("watchplane");
    expect(await make(page, "API Tokens", "New token", "token")).toMatch(/^wp_[0-9a-f]{48}$/);
    await context.close();
  });

  it("[watchplane-auth-12] takes no more than a name, and the copied key works", async () => {
    const { page, context } = await openAt("watchplane");
    await page.getByRole("button", { name: "New token" }).first().click();
    expect(await page.getByRole("dialog").getByRole("textbox").count()).toBe(1);
    expect(await page.getByRole("dialog").locator("select, input:not([name=name])").count()).toBe(0);
    await page.getByRole("button", { name: "Cancel" }).click();
    const secret = await make(page, "API Tokens", "New token", "token");
    const headers = { "X-Api-Key": secret };
    expect((await fetch(`http://${test.app.httpAddress}/api/v1/api-tokens/self`, { headers })).status).toBe(200);
    await context.close();
  });

  it("[watchmantower-10] has “Generate New Key” under Settings → API Keys", async () => {
    const { page, context } = await openAt("watchmantower");
    expect(await make(page, "API Keys", "Generate New Key", "key")).toMatch(/^wmt_api_[0-9A-Za-z]{48}$/);
    await context.close();
  });

  it("[plane-03] has “Generate New Token” under Settings → API Tokens", async () => {
    const { page, context } = await openAt("plane");
    expect(await make(page, "API Tokens", "Generate New Token", "token")).toMatch(/^pk_[0-9a-f]{48}$/);
    await context.close();
  });

  it("[walwarden-05] has them under Settings → API tokens", async () => {
    const { page, context } = await openAt("walwarden");
    await settingsLink(page, "Members").click();
    await settingsLink(page, "API tokens").click();
    await page.getByRole("heading", { level: 1, name: "API tokens" }).waitFor();
    expect(await settingsLink(page, "API tokens").getAttribute("aria-current")).toBe("page");
    await context.close();
  });

  it("[walwarden-18] has them at the address that the page names", async () => {
    const { page, context, organizationId, owner } = await openAt("walwarden");
    const path = `/o/${organizationId}/settings/api-tokens`;
    expect(new URL(page.url()).pathname).toBe(path);
    const other = await openAs(owner, path);
    expect(new URL(other.page.url()).pathname).toBe(path);
    await other.context.close();
    await context.close();
  });

  it("[walwarden-20] hides the controls from people who aren't admins, and on other plans all but Revoke", async () => {
    const { page, context, organizationId } = await openAt("walwarden");
    await make(page, "API tokens", "Issue token", "token");
    await dismiss(page);
    const controls = (of: Page) => of.getByRole("main").getByRole("button").allTextContents();
    expect(await controls(page)).toEqual(["Refresh", "Issue token", "Rotate", "Disable", "Revoke"]);

    const member = await openAs(await test.addMember("member", organizationId));
    await member.page.getByRole("row", { name: /CI pipeline/ }).waitFor();
    expect(await controls(member.page)).toEqual(["Refresh"]);
    await member.context.close();

    const { app, credentials } = test;
    const client = createClient(OrganizationService, { address: app.grpcAddress, token: credentials.serviceKey });
    await client.setPlan({ organizationId, plan: "free" });
    client.close();
    await page.reload();
    await page.getByText("The plan free comes without API tokens. They need team or enterprise.").waitFor();
    await page.getByRole("row", { name: /CI pipeline/ }).waitFor();
    // Nobody is kept from ending a token that leaked.
    expect(await controls(page)).toEqual(["Refresh", "Revoke"]);
    await context.close();
  });

  it("[walwarden-21] opens the form with “Issue token”", async () => {
    const { page, context } = await openAt("walwarden");
    await page.getByRole("button", { name: "Issue token" }).first().click();
    await page.getByRole("dialog", { name: "Issue token" }).waitFor();
    expect(await page.getByRole("dialog").getByRole("checkbox").count()).toBe(11);
    await context.close();
  });

  it("[walwarden-26] reveals the plaintext once, and asks before it is dismissed", async () => {
    const { page, context } = await openAt("walwarden");
    const secret = await make(page, "API tokens", "Issue token", "token");
    expect(secret).toMatch(/^wal_[0-9a-f]{64}$/);
    await page.getByText("It won’t be shown again.").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("Have you kept the token?").waitFor();
    await page.getByRole("button", { name: "I have kept it" }).click();
    await page.getByRole("row", { name: /CI pipeline/ }).waitFor();
    expect(await page.content()).not.toContain(secret);
    await context.close();
  });

  it("[walwarden-47] has Revoke in the row of a token", async () => {
    const { page, context } = await openAt("walwarden");
    await make(page, "API tokens", "Issue token", "token");
    await dismiss(page);
    const row = page.getByRole("row", { name: /CI pipeline/ });
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByLabel("to confirm").fill("CI pipeline");
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await row.getByText("Revoked").waitFor();
    await context.close();
  });
});
