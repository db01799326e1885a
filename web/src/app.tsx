/** Which page is shown: it depends on where one is, and on who is signed in. */
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { GetContextResponseJson, GetEntranceResponseJson } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { api, toProblem } from "./api.ts";
import { AcceptInvitationPage } from "./pages/accept-invitation.tsx";
import { AccountPage } from "./pages/account.tsx";
import { AuditLogPage } from "./pages/audit-log.tsx";
import { MembersPage } from "./pages/members.tsx";
import { OrganizationPage } from "./pages/organization.tsx";
import { RegisterPage } from "./pages/register.tsx";
import { RestorePasswordPage } from "./pages/restore-password.tsx";
import { SignInPage } from "./pages/sign-in.tsx";
import { TokensPage } from "./pages/tokens.tsx";
import { Announcer, Failure, Loading } from "./parts/feedback.tsx";
import { Layout } from "./parts/layout.tsx";
import type { Problem } from "./problem.ts";
import { parseSettingsPath, redirect, type Section, settingsPath, usePath } from "./router.ts";
import { isManager, type Session, SessionProvider, toSession } from "./session.ts";

/** Who is signed in: not known yet, nobody, or somebody. */
type Visit =
  | { readonly kind: "unknown" }
  | { readonly kind: "failed"; readonly problem: Problem }
  | { readonly kind: "nobody"; readonly hasEnded: boolean }
  | { readonly kind: "somebody"; readonly context: GetContextResponseJson };

const PAGES: Readonly<Record<Section, () => preact.JSX.Element>> = {
  "api-tokens": TokensPage,
  members: MembersPage,
  "audit-log": AuditLogPage,
  organization: OrganizationPage,
  account: AccountPage,
};

export function App() {
  const path = usePath();
  const [entrance, setEntrance] = useState<GetEntranceResponseJson>();
  const [visit, setVisit] = useState<Visit>({ kind: "unknown" });

  const end = useCallback((): void => setVisit({ kind: "nobody", hasEnded: true }), []);
  const reload = useCallback(async (): Promise<void> => {
    try {
      setVisit({ kind: "somebody", context: await api.getContext({}) });
    } catch (thrown) {
      const problem = toProblem(thrown);
      setVisit((before) => {
        if (problem.code === "unauthenticated") return { kind: "nobody", hasEnded: before.kind === "somebody" };
        return before.kind === "somebody" ? before : { kind: "failed", problem };
      });
    }
  }, []);
  const start = useCallback(async (): Promise<void> => {
    setVisit({ kind: "unknown" });
    try {
      setEntrance(await api.getEntrance({}));
      await reload();
    } catch (thrown) {
      setVisit({ kind: "failed", problem: toProblem(thrown) });
    }
  }, []);
  useEffect(() => void start(), []);

  const session = useMemo(
    () => (visit.kind === "somebody" ? toSession(visit.context, { reload, end }) : undefined),
    [visit],
  );
  return (
    <>
      {visit.kind === "failed" ? (
        <main class="entrance">
          <h1 class="visually-hidden">Dashboard</h1>
          <Failure problem={visit.problem} onRetry={() => void start()} />
        </main>
      ) : entrance === undefined || visit.kind === "unknown" ? (
        <main class="entrance">
          <h1 class="visually-hidden">Dashboard</h1>
          <Loading what="the dashboard" />
        </main>
      ) : (
        <Page
          path={path}
          entrance={entrance}
          session={session}
          hasEnded={visit.kind === "nobody" && visit.hasEnded}
          onSignedIn={reload}
        />
      )}
      <Announcer />
    </>
  );
}

interface PageProps {
  readonly path: string;
  readonly entrance: GetEntranceResponseJson;
  readonly session: Session | undefined;
  /** Whether somebody was signed in on this very page. */
  readonly hasEnded: boolean;
  readonly onSignedIn: () => Promise<void>;
}

function Page({ path, entrance, session, hasEnded, onSignedIn }: PageProps) {
  const place = parseSettingsPath(path);
  if (path === "/accept-invitation") {
    return <AcceptInvitationPage entrance={entrance} session={session} onSignedIn={onSignedIn} />;
  }
  if (path === "/restore-password") return <RestorePasswordPage entrance={entrance} />;
  if (session === undefined) {
    if (path === "/register") return <RegisterPage entrance={entrance} onSignedIn={onSignedIn} />;
    // Under the address of the page that was asked for, so that it is there after the sign-in.
    const reason = hasEnded ? "Your session has ended. Sign in to go on where you were." : undefined;
    return <SignInPage entrance={entrance} reason={reason} onSignedIn={onSignedIn} />;
  }
  return <SettingsPage place={place} session={session} />;
}

interface SettingsPageProps {
  readonly place: ReturnType<typeof parseSettingsPath>;
  readonly session: Session;
}

function SettingsPage({ place, session }: SettingsPageProps) {
  const [problem, setProblem] = useState<Problem>();
  const isMember = session.places.some(({ id }) => id === place?.organizationId);
  const isElsewhere = place !== undefined && place.organizationId !== session.organizationId;
  const isClosed = place?.section === "audit-log" && !isManager(session);
  useEffect(() => {
    if (place === undefined || (isElsewhere && !isMember) || (isClosed && !isElsewhere)) {
      redirect(settingsPath(session.organizationId, "api-tokens"));
    } else if (isElsewhere) {
      api
        .switchOrganization({ organizationId: place.organizationId })
        .then(() => session.reload())
        .catch((thrown: unknown) => setProblem(toProblem(thrown)));
    }
  }, [place?.organizationId, place?.section, session]);
  if (place === undefined || isElsewhere || isClosed) {
    return (
      <main class="entrance">
        <h1 class="visually-hidden">Dashboard</h1>
        {problem === undefined ? (
          <Loading what="the organization" />
        ) : (
          <Failure problem={problem} onRetry={() => location.reload()} />
        )}
      </main>
    );
  }
  const Shown = PAGES[place.section];
  return (
    <SessionProvider value={session}>
      <Layout section={place.section}>
        {/* Nothing of one organization stays on the page of another. */}
        <Shown key={`${place.organizationId} ${place.section}`} />
      </Layout>
    </SessionProvider>
  );
}
