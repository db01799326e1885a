import { useState } from "preact/hooks";
import type { GetEntranceResponseJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { api } from "../api.ts";
import { Entrance } from "../parts/entrance.tsx";
import { Notice } from "../parts/feedback.tsx";
import { Field, Form } from "../parts/form.tsx";
import type { Problem } from "../problem.ts";

export interface SignInProps {
  readonly entrance: GetEntranceResponseJson;
  /** Why the person is here, where that isn't plain. */
  readonly reason?: string | undefined;
  readonly onSignedIn: () => Promise<void>;
}

export function SignInPage({ entrance, reason, onSignedIn }: SignInProps) {
  return (
    <Entrance
      entrance={entrance}
      title="Sign in"
      links={
        entrance.registrationOpen ? (
          <>
            No account yet? <a href="/register">Register</a>
          </>
        ) : undefined
      }
    >
      {reason === undefined ? null : <Notice>{reason}</Notice>}
      <SignInForm onSignedIn={onSignedIn} />
      {entrance.signInProviders?.map(({ name = "", label = "" }) => (
        <p class="aside" key={name}>
          {/* With a target it is the browser's to follow: it leads to another site. */}
          <a href={`/sign-in/with/${name}`} target="_self">
            Sign in with {label}
          </a>
        </p>
      ))}
      <p class="aside">
        <a href="/restore-password">Forgot your password?</a>
      </p>
    </Entrance>
  );
}

/** The form by itself, for a page where somebody has to sign in on the way. */
export function SignInForm({ onSignedIn }: Pick<SignInProps, "onSignedIn">) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const signIn = async (): Promise<void> => {
    await api.signIn({ email, password });
    await onSignedIn();
  };
  return (
    <Form submitLabel="Sign in" onSubmit={signIn} onProblem={setProblem} fields={["email", "password"]}>
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
      <Field
        name="password"
        type="password"
        label="Password"
        value={password}
        onValue={setPassword}
        problem={problem}
        autocomplete="current-password"
        required
      />
    </Form>
  );
}
