/** What stands around the pages of somebody who is signed in. */
import type { ComponentChildren } from "preact";
import { api } from "../api.ts";
import { navigate, type Section, settingsPath } from "../router.ts";
import { isManager, useSession } from "../session.ts";
import { useReport } from "../use-load.ts";
import { announce } from "./feedback.tsx";
import { Choice } from "./form.tsx";
import { Mark } from "./mark.tsx";

export function Layout({ section, children }: { readonly section: Section; readonly children: ComponentChildren }) {
  const session = useSession();
  const { report } = useReport();
  const { offer, organizationId, places, email } = session;
  const links: readonly (readonly [Section, string])[] = [
    ["api-tokens", offer.tokensTitle ?? "API tokens"],
    ["members", "Members"],
    ...(isManager(session) ? ([["audit-log", "Audit log"]] as const) : []),
    ["organization", "Organization"],
    ["account", "Your account"],
  ];
  const signOut = async (): Promise<void> => {
    try {
      await api.signOut({});
    } catch (thrown) {
      announce(report(thrown).message);
      return;
    }
    // Not only the session: nothing that a page has read stays in memory.
    location.assign("/sign-in");
  };
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <div class="brand">
          <Mark />
          <span>{offer.productName}</span>
        </div>
        {places.length > 1 ? (
          <Choice
            label="Organization"
            isLabelHidden
            value={organizationId}
            options={places.map(({ id, name }) => [id, name])}
            onValue={(id) => navigate(settingsPath(id, section))}
          />
        ) : (
          <p class="organization">{session.organization.name}</p>
        )}
        <nav aria-label="Settings">
          <p class="nav-title">Settings</p>
          <ul>
            {links.map(([name, text]) => (
              <li key={name}>
                <a href={settingsPath(organizationId, name)} {...(name === section ? { "aria-current": "page" } : {})}>
                  {text}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="person">
          <span class="email" title={email}>
            {email}
          </span>
          <button type="button" class="quiet" onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
