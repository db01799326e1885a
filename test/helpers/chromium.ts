/** A real Chromium for tests. It comes with the packages and needs nothing of the machine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import chromiumFiles from "@sparticuz/chromium";
import axe from "axe-core";
import { type Browser, chromium, type Locator, type Page } from "playwright-core";

const VIEWPORTS = {
  desktop: { width: 1360, height: 860 },
  phone: { width: 390, height: 844 },
} as const;

/** Where pictures of the pages go; empty for nowhere. */
const PICTURES = process.env["DASHBOARD_PICTURES"] ?? "";

export async function launchChromium(): Promise<Browser> {
  // Not the arguments that the package proposes: some of them switch protections off that are tested here.
  return chromium.launch({ executablePath: await chromiumFiles.executablePath(), args: ["--no-sandbox"] });
}

/** A visitor with cookies of their own, who has collected what went wrong in their pages. */
export async function openVisitor(
  browser: Browser,
  address: string,
  { host = "127.0.0.1", size = "desktop" }: { readonly host?: string; readonly size?: keyof typeof VIEWPORTS } = {},
) {
  const port = address.split(":").at(-1) ?? "";
  const context = await browser.newContext({
    baseURL: `http://${host}:${port}`,
    viewport: VIEWPORTS[size],
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const faults: string[] = [];
  const foreign: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`http://${host}:${port}/`)) foreign.push(request.url());
  });
  return { context, page, faults, foreign };
}

/** What axe finds that keeps people out: nothing serious, and nothing critical. In light and in dark. */
export async function seriousFaults(
  page: Page,
  schemes: readonly ("light" | "dark")[] = ["light", "dark"],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme });
    // As a debugger would, so that the page's own policy stays as it is.
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
    for (const { id, impact, nodes } of violations) {
      if (impact !== "serious" && impact !== "critical") continue;
      found.push(...nodes.map(({ html, failureSummary }) => `${colorScheme} ${id}: ${html} ${failureSummary}`));
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  return found;
}

/** Keeps pictures of a page as it is now, in light, in dark, and at a phone's width. */
export async function takePictures(page: Page, name: string): Promise<void> {
  if (PICTURES === "") return;
  mkdirSync(PICTURES, { recursive: true });
  const take = (suffix: string) => page.screenshot({ path: join(PICTURES, `${name}-${suffix}.png`) });
  await take("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await take("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(VIEWPORTS.phone);
  await take("phone");
  await page.setViewportSize(VIEWPORTS.desktop);
}

/** Whether an element has the keyboard. */
export const isFocused = (element: Locator): Promise<boolean> =>
  element.evaluate(
    (one) => one === (globalThis as unknown as { document: { activeElement: unknown } }).document.activeElement,
  );

export type { Browser, Page };
