import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { announce } from "../parts/feedback.tsx";
import { Field, Form } from "../parts/form.tsx";
import { Heading } from "../parts/heading.tsx";
import type { Problem } from "../problem.ts";
import { settingsPath } from "../router.ts";
import { roleName, useSession } from "../session.ts";
import { useReport } from "../use-load.ts";

export function AccountPage() {
  const { offer, email, places, organizationId } = useSession();
  return (
    <>
      <Heading title="Your account" product={offer.productName ?? ""} />
      <section class="panel">
        <dl>
          <dt>Email</dt>
          <dd>{email}</dd>
          <dt>Organizations</dt>
          <dd>
            <ul class="plain">
              {places.map(({ id, name, role }) => (
                <li key={id}>
                  {id === organizationId ? name : <a href={settingsPath(id, "account")}>{name}</a>}{" "}
                  <span class="faint">{roleName(role)}</span>
                </li>
              ))}
            </ul>
          </dd>
        </dl>
      </section>
      <section class="panel narrow">
        <h2>Change the password</h2>
        <ChangePassword />
      </section>
    </>
  );
}

function ChangePassword() {
  const { email } = useSession();
  const { report } = useReport();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const change = async (): Promise<void> => {
    await api.changePassword({ currentPassword: current, newPassword: next });
    setCurrent("");
    setNext("");
    announce("Your password is changed. You are signed out everywhere else.");
  };
  return (
    <Form
      submitLabel="Change the password"
      onSubmit={change}
      onProblem={setProblem}
      report={report}
      fields={["current_password", "new_password"]}
    >
      {/* For password managers, which want to know whose password it is. */}
      <input
        type="text"
        class="visually-hidden"
        name="username"
        autocomplete="username"
        value={email}
        readOnly
        tabIndex={-1}
        aria-hidden="true"
      />
      <Field
        name="current_password"
        type="password"
        label="Current password"
        value={current}
        onValue={setCurrent}
        problem={problem}
        autocomplete="current-password"
        required
      />
      <Field
        name="new_password"
        type="password"
        label="New password"
        hint="At least 10 characters. It signs you out everywhere else."
        value={next}
        onValue={setNext}
        problem={problem}
        autocomplete="new-password"
        required
      />
    </Form>
  );
}
