/** What the source documents say of the dashboard, in a real browser. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, launchChromium, openVisitor } from "../helpers/chromium.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

let test: TestApp;
let browser: Browser;

beforeAll(async () => {
  [test, browser] = await Promise.all([startTestApp({ env: { LATCHKEY_PROFILE: "walwarden" } }), launchChromium()]);
});

afterAll(async () => {
  await browser.close();
  await test[Symbol.asyncDispose]();
});

describe("walwarden's dashboard", () => {
  it("[walwarden-05] has API tokens under Settings, at the address that the page names", async () => {
    const { page, context } = await openVisitor(browser, test.app.httpAddress);
    const { organizationId, adminEmail, adminPassword } = test.credentials;
    await page.goto(`/o/${organizationId}/settings/api-tokens`);
    await page.getByLabel("Email").fill(adminEmail);
    await page.getByLabel("Password").fill(adminPassword);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "API tokens", level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/o/${organizationId}/settings/api-tokens`);
    const link = page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "API tokens" });
    expect(await link.getAttribute("aria-current")).toBe("page");
    expect(await page.getByRole("button", { name: "Issue token" }).first().isVisible()).toBe(true);
    await context.close();
  });
});
