import { useState } from "preact/hooks";
import type { GetEntranceResponseJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { api } from "../api.ts";
import { Entrance } from "../parts/entrance.tsx";
import { Notice } from "../parts/feedback.tsx";
import { Field, Form } from "../parts/form.tsx";
import type { Problem } from "../problem.ts";
import { useLinkToken } from "../router.ts";

/** With the token of a letter: choose a password. Without: ask for the letter. */
export function RestorePasswordPage({ entrance }: { readonly entrance: GetEntranceResponseJson }) {
  const [token, forgetToken] = useLinkToken();
  return token === "" ? (
    <AskForLink entrance={entrance} />
  ) : (
    <ChoosePassword entrance={entrance} key={token} token={token} onAskAgain={forgetToken} />
  );
}

const BACK = (
  <>
    Back to <a href="/sign-in">Sign in</a>
  </>
);

function AskForLink({ entrance }: { readonly entrance: GetEntranceResponseJson }) {
  const [email, setEmail] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [isSent, setSent] = useState(false);
  const ask = async (): Promise<void> => {
    await api.restorePassword({ email });
    setSent(true);
  };
  const body = (): preact.JSX.Element => {
    if (!entrance.sendsMail) {
      return <Notice>This service sends no mail. Ask an admin of your organization for a new invitation.</Notice>;
    }
    if (isSent) {
      return (
        <Notice kind="good">
          If {email} has an account, a letter with a link is on its way. The link works once, for 30 minutes.
        </Notice>
      );
    }
    return (
      <Form submitLabel="Send the link" onSubmit={ask} onProblem={setProblem} fields={["email"]}>
        <p>We send you a link by mail, to choose a new password with.</p>
        <Field
          name="email"
          type="email"
          label="Email"
          value={email}
          onValue={setEmail}
          problem={problem}
          autocomplete="username"
          required
        />
      </Form>
    );
  };
  return (
    <Entrance entrance={entrance} title="Forgot your password?" links={BACK}>
      {body()}
    </Entrance>
  );
}

interface ChoosePasswordProps {
  readonly entrance: GetEntranceResponseJson;
  readonly token: string;
  readonly onAskAgain: () => void;
}

function ChoosePassword({ entrance, token, onAskAgain }: ChoosePasswordProps) {
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [isDone, setDone] = useState(false);
  const reset = async (): Promise<void> => {
    await api.resetPassword({ token, newPassword: password });
    setDone(true);
  };
  return (
    <Entrance entrance={entrance} title="Choose a new password" links={BACK}>
      {isDone ? (
        <Notice kind="good">
          Your password is changed, and everybody who was signed in with the old one is signed out.{" "}
          <a href="/sign-in">Sign in</a> with the new one.
        </Notice>
      ) : (
        <>
          <Form submitLabel="Change the password" onSubmit={reset} onProblem={setProblem} fields={["new_password"]}>
            <Field
              name="new_password"
              type="password"
              label="New password"
              hint="At least 10 characters."
              value={password}
              onValue={setPassword}
              problem={problem}
              autocomplete="new-password"
              required
            />
          </Form>
          {problem?.field === "token" ? (
            <button type="button" onClick={onAskAgain}>
              Ask for another link
            </button>
          ) : null}
        </>
      )}
    </Entrance>
  );
}
