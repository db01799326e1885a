import { useState } from "preact/hooks";
import type { GetEntranceResponseJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { api } from "../api.ts";
import { Entrance } from "../parts/entrance.tsx";
import { Notice } from "../parts/feedback.tsx";
import { Field, Form } from "../parts/form.tsx";
import { Problem } from "../problem.ts";

export interface RegisterProps {
  readonly entrance: GetEntranceResponseJson;
  readonly onSignedIn: () => Promise<void>;
}

export function RegisterPage({ entrance, onSignedIn }: RegisterProps) {
  const [organizationName, setOrganizationName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const register = async (): Promise<void> => {
    await api.register({ email, password, organizationName });
    try {
      await api.signIn({ email, password });
    } catch (thrown) {
      // The answer to registering doesn't tell, so that it is no list of who has an account.
      if (!(thrown instanceof Problem) || thrown.code !== "unauthenticated") throw thrown;
      throw new Problem(
        "already_exists",
        "There may be an account with this address already. Sign in with its password, or ask for a new one.",
      );
    }
    await onSignedIn();
  };
  return (
    <Entrance
      entrance={entrance}
      title="Register"
      links={
        <>
          Have an account? <a href="/sign-in">Sign in</a>
        </>
      }
    >
      {entrance.registrationOpen ? (
        <Form
          submitLabel="Register"
          onSubmit={register}
          onProblem={setProblem}
          fields={["organization_name", "email", "password"]}
        >
          <Field
            name="organization_name"
            label="Organization"
            hint="Your company or team. Its tokens, members and plan belong to it."
            value={organizationName}
            onValue={setOrganizationName}
            problem={problem}
            autocomplete="organization"
            required
          />
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
            hint="At least 10 characters."
            value={password}
            onValue={setPassword}
            problem={problem}
            autocomplete="new-password"
            required
          />
        </Form>
      ) : (
        <Notice>People can’t register here by themselves. Ask an admin of your organization to invite you.</Notice>
      )}
    </Entrance>
  );
}
