/** The whole life of a token in the dashboard, in a real browser, for each of the four products. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type Browser,
  launchChromium,
  openVisitor,
  type Page,
  seriousFaults,
  takePictures,
} from "../helpers/chromium.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

// A browser has patience on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

interface Story {
  readonly product: string;
  readonly name: string;
  readonly title: string;
  readonly newLabel: string;
  readonly noun: string;
  readonly secret: RegExp;
  readonly header: (secret: string) => Readonly<Record<string, string>>;
  readonly basePath: string;
  /** What to choose in the form besides the name. */
  readonly choose: (page: Page) => Promise<void>;
  /** What the row says that the token may do. */
  readonly access: RegExp;
  /** Whether revoked ones stay in the list. */
  readonly staysListed: boolean;
}

const apiKey = (secret: string) => ({ "X-Api-Key": secret });

const STORIES: readonly Story[] = [
  {
    product: "watchplane",
    name: "Watchplane",
    title: "API Tokens",
    newLabel: "New token",
    noun: "token",
    secret: /^wp_[0-9a-f]{48}$/,
    header: apiKey,
    basePath: "/api/v1",
    choose: async () => {},
    access: /Full access/,
    staysListed: false,
  },
  {
    product: "watchmantower",
    name: "Watchman Tower",
    title: "API Keys",
    newLabel: "Generate New Key",
    noun: "key",
    secret: /^wmt_api_[0-9A-Za-z]{48}$/,
    header: (secret) => ({ Authorization: `Bearer ${secret}` }),
    basePath: "/public/v1",
    choose: async (page) => {
      await page.getByRole("radio", { name: /^Full/ }).check();
      await page.getByLabel("Expires").selectOption("In 90 days");
    },
    access: /Full/,
    staysListed: false,
  },
  {
    product: "walwarden",
    name: "walwarden",
    title: "API tokens",
    newLabel: "Issue token",
    noun: "token",
    secret: /^wal_[0-9a-f]{64}$/,
    header: (secret) => ({ Authorization: `Bearer ${secret}` }),
    basePath: "/api/v1",
    choose: async (page) => {
      await page.getByRole("checkbox", { name: /^databases:read/ }).check();
      await page.getByRole("checkbox", { name: /^backups:trigger/ }).check();
    },
    access: /backups:trigger\s*databases:read/,
    staysListed: true,
  },
  {
    product: "plane",
    name: "Plane",
    title: "API Tokens",
    newLabel: "Generate New Token",
    noun: "token",
    secret: /^pk_[0-9a-f]{48}$/,
    header: apiKey,
    basePath: "/api/v1",
    choose: async (page) => {
      await page.getByRole("radio", { name: /^Service/ }).check();
      await page.getByLabel("Expires").selectOption("In a year");
    },
    access: /Service/,
    staysListed: true,
  },
];

let test: TestApp;
let browser: Browser;

beforeAll(async () => {
  const hosts = STORIES.map(({ product }) => `${product}.localhost=${product}`).join(",");
  [test, browser] = await Promise.all([startTestApp({ env: { LATCHKEY_HOST_PROFILES: hosts } }), launchChromium()]);
});

afterAll(async () => {
  await browser.close();
  await test[Symbol.asyncDispose]();
});

describe.each(STORIES)("a token of $name", (story) => {
  it("is made, copied, used, seen, rotated and revoked", async () => {
    const { product, name, title, newLabel, noun } = story;
    const visitor = await openVisitor(browser, test.app.httpAddress, { host: `${product}.localhost` });
    const { page, context, faults, foreign } = visitor;
    const status = async (secret: string): Promise<number> => {
      const path = `http://${test.app.httpAddress}${story.basePath}/api-tokens/self`;
      return (await fetch(path, { headers: story.header(secret) })).status;
    };
    const row = page.getByRole("row", { name: /CI pipeline/ });
    const leaveSecret = async (): Promise<string> => {
      await page.getByRole("button", { name: `Copy the ${noun}` }).click();
      const secret = await page.evaluate<string>("navigator.clipboard.readText()");
      await page.getByRole("button", { name: "Done" }).click();
      await page.getByRole("button", { name: "I have kept it" }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
      return secret;
    };

    // Register, which signs in.
    await page.goto("/");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await page.title()).toBe(`Sign in · ${name}`);
    await page.getByRole("link", { name: "Register" }).click();
    await page.getByLabel("Organization").fill(`${name} customer`);
    await page.getByLabel("Email").fill(`ada@${product}.example`);
    await page.getByLabel("Password").fill("correct horse battery");
    if (product === "walwarden") await takePictures(page, "register");
    await page.getByRole("button", { name: "Register" }).click();
    await page.getByRole("heading", { name: title, level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toMatch(/^\/o\/org_[0-9a-z]{26}\/settings\/api-tokens$/);
    await page.getByRole("heading", { name: `No ${noun}s yet` }).waitFor();
    if (product === "walwarden") await takePictures(page, "tokens-empty");

    // Issue, and copy: it's shown this once, and isn't left by mistake.
    await page.getByRole("button", { name: newLabel }).first().click();
    await page.getByLabel("Name", { exact: true }).fill("CI pipeline");
    await story.choose(page);
    await takePictures(page, `new-token-${product}`);
    if (product !== "watchplane") expect(await seriousFaults(page)).toEqual([]);
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "“CI pipeline” is ready" }).waitFor();
    const shown = page.getByRole("dialog").locator("code").first();
    expect(await shown.textContent()).toMatch(story.secret);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.getByText(`You haven’t copied the ${noun}`).waitFor();
    await page.getByRole("button", { name: "Stay here" }).click();
    expect(await page.getByRole("dialog").locator("code").nth(1).textContent()).toContain(
      `${story.basePath}/api-tokens/self`,
    );
    if (product === "walwarden") {
      await takePictures(page, "secret");
      expect(await seriousFaults(page)).toEqual([]);
    }
    const secret = await leaveSecret();
    expect(secret).toMatch(story.secret);
    expect(await page.content()).not.toContain(secret);

    // Use, and see.
    await row.getByText("Never").waitFor();
    expect(await row.textContent()).toMatch(story.access);
    expect(await status(secret)).toBe(200);
    await test.app.usage.flush();
    await page.getByRole("button", { name: "Refresh" }).click();
    await row.getByText("from 127.0.0.1").waitFor();
    expect(await row.getByRole("img").getAttribute("aria-label")).toBe("Used 1 time in 90 days");
    const lastUsed = row.getByRole("cell").nth(2).locator("time");
    expect(await lastUsed.textContent()).toBe("just now");
    expect(await lastUsed.getAttribute("title")).toMatch(/20\d\d at \d\d:\d\d:\d\d/);

    // Rotate: both secrets work until somebody finishes it.
    await row.getByRole("button", { name: "Rotate" }).click();
    await page.getByLabel("The old secret goes on working").selectOption("For 7 days");
    await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
    const next = await leaveSecret();
    expect(next).not.toBe(secret);
    expect([await status(secret), await status(next)]).toEqual([200, 200]);
    await row.getByText(/old secret ends in \d days/).waitFor();
    await row.getByRole("button", { name: "Finish rotation" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Finish" }).click();
    await row.getByRole("button", { name: "Rotate" }).waitFor();
    expect([await status(secret), await status(next)]).toEqual([401, 200]);

    // Disable and enable.
    await row.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
    await row.getByText("Disabled").waitFor();
    expect(await status(next)).toBe(401);
    await row.getByRole("button", { name: "Enable" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Enable" }).click();
    await row.getByText("Active").waitFor();
    expect(await status(next)).toBe(200);

    // Revoke, which wants the name.
    await row.getByRole("button", { name: "Revoke" }).click();
    const revoke = page.getByRole("dialog").getByRole("button", { name: "Revoke" });
    expect(await revoke.isDisabled()).toBe(true);
    await page.getByLabel("to confirm").fill("CI pipelin");
    expect(await revoke.isDisabled()).toBe(true);
    await page.getByLabel("to confirm").fill("CI pipeline");
    if (product === "walwarden") await takePictures(page, "revoke");
    await revoke.click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await status(next)).toBe(401);
    if (story.staysListed) {
      await row.getByText("Revoked").waitFor();
      expect(await row.getByRole("button").count()).toBe(0);
    } else {
      await row.waitFor({ state: "detached" });
    }

    // All of it is in the log, and the log is whole.
    await page.getByRole("link", { name: "Audit log" }).click();
    await page.getByText(/✓ Chain verified, \d+ events/).waitFor();
    const log = await page.getByRole("table").textContent();
    for (const text of ["Issued CI pipeline", "Rotated CI pipeline", "Finished the rotation of CI pipeline"]) {
      expect(log).toContain(text);
    }
    expect(log).toContain("Revoked CI pipeline");
    expect(log).toContain(`ada@${product}.example`);
    expect(log).not.toContain(next);
    if (product === "walwarden") {
      await takePictures(page, "audit-log");
      expect(await seriousFaults(page)).toEqual([]);
    }

    expect([faults, foreign]).toEqual([[], []]);
    await context.close();
  });
});
