import { useState } from "preact/hooks";
import type { GetEntranceResponseJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { api } from "../api.ts";
import { Entrance } from "../parts/entrance.tsx";
import { Notice } from "../parts/feedback.tsx";
import { Field, Form } from "../parts/form.tsx";
import type { Problem } from "../problem.ts";
import { navigate, settingsPath, useLinkToken } from "../router.ts";
import type { Session } from "../session.ts";
import { SignInForm } from "./sign-in.tsx";

export interface AcceptInvitationProps {
  readonly entrance: GetEntranceResponseJson;
  readonly session: Session | undefined;
  readonly onSignedIn: () => Promise<void>;
}

export function AcceptInvitationPage({ entrance, session, onSignedIn }: AcceptInvitationProps) {
  const [token] = useLinkToken();
  const [hasAccount, setHasAccount] = useState(false);
  const body = (): preact.JSX.Element => {
    if (token === "") {
      return (
        <Notice kind="warn">There is no invitation in this address. Open the link that you were sent once more.</Notice>
      );
    }
    if (session !== undefined) return <Join token={token} session={session} onSignedIn={onSignedIn} />;
    return hasAccount ? (
      <>
        <p>Sign in with the address that was invited.</p>
        <SignInForm onSignedIn={onSignedIn} />
      </>
    ) : (
      <Newcomer key={token} token={token} onHasAccount={() => setHasAccount(true)} />
    );
  };
  return (
    <Entrance entrance={entrance} title="You are invited">
      {body()}
    </Entrance>
  );
}

function Newcomer({ token, onHasAccount }: { readonly token: string; readonly onHasAccount: () => void }) {
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [isDone, setDone] = useState(false);
  const accept = async (): Promise<void> => {
    await api.acceptInvitation({ token, password });
    setDone(true);
  };
  if (isDone) {
    return (
      <Notice kind="good">
        Welcome! <a href="/sign-in">Sign in</a> with the address that was invited, and the password that you chose.
      </Notice>
    );
  }
  return (
    <>
      <Form submitLabel="Accept" onSubmit={accept} onProblem={setProblem} fields={["password"]}>
        <p>Choose a password to sign in with from now on.</p>
        <Field
          name="password"
          type="password"
          label="Password"
          hint="At least 10 characters."
          value={password}
          onValue={setPassword}
          problem={problem}
          autocomplete="new-password"
          required
        />
      </Form>
      <p class="aside">
        <button type="button" class="link" onClick={onHasAccount}>
          I have an account with this address
        </button>
      </p>
    </>
  );
}

interface JoinProps {
  readonly token: string;
  readonly session: Session;
  readonly onSignedIn: () => Promise<void>;
}

function Join({ token, session, onSignedIn }: JoinProps) {
  const join = async (): Promise<void> => {
    const { organizationId = "" } = await api.joinOrganization({ token });
    await api.switchOrganization({ organizationId });
    await onSignedIn();
    navigate(settingsPath(organizationId, "api-tokens"));
  };
  return (
    <Form submitLabel="Join" onSubmit={join}>
      <p>
        You are signed in as <strong>{session.email}</strong>. Join the organization that invited you?
      </p>
    </Form>
  );
}
