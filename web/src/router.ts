/** Which page the address bar names, and how to get to another one without a reload. */
import { useEffect, useState } from "preact/hooks";

const CHANGED = "latchkey:navigated";

export function navigate(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new Event(CHANGED));
}

/** As `navigate`, where the way back shouldn't lead here. */
export function redirect(path: string): void {
  history.replaceState(null, "", path);
  dispatchEvent(new Event(CHANGED));
}

/** The path, also after it changed. */
export function usePath(): string {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const read = (): void => setPath(location.pathname);
    addEventListener("popstate", read);
    addEventListener(CHANGED, read);
    return () => {
      removeEventListener("popstate", read);
      removeEventListener(CHANGED, read);
    };
  }, []);
  return path;
}

/** Takes links of this site over; what opens elsewhere stays the browser's. */
export function followLinks(): void {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    const href = link?.getAttribute("href") ?? "";
    if (!href.startsWith("/") || link?.hasAttribute("target")) return;
    event.preventDefault();
    navigate(href);
  });
}

/** The token of the link in a letter that led here; empty for none. It is left in no history. */
export function useLinkToken(): readonly [token: string, forget: () => void] {
  const [token, setToken] = useState(takeLinkToken);
  useEffect(() => {
    // Another link, opened in the same tab, is no new page.
    const take = (): void => {
      const next = takeLinkToken();
      if (next !== "") setToken(next);
    };
    addEventListener("hashchange", take);
    return () => removeEventListener("hashchange", take);
  }, []);
  return [token, () => setToken("")];
}

function takeLinkToken(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token !== "") history.replaceState(null, "", location.pathname);
  return token;
}

export const SECTIONS = ["api-tokens", "members", "audit-log", "organization", "account"] as const;
export type Section = (typeof SECTIONS)[number];

export const settingsPath = (organizationId: string, section: Section): string =>
  `/o/${organizationId}/settings/${section}`;

/** The organization and the section that a path names. */
export function parseSettingsPath(
  path: string,
): { readonly organizationId: string; readonly section: Section } | undefined {
  const [, organizationId, name] = /^\/o\/(org_[0-9a-z]{26})\/settings\/([a-z-]+)$/.exec(path) ?? [];
  const section = SECTIONS.find((one) => one === name);
  return organizationId === undefined || section === undefined ? undefined : { organizationId, section };
}
