/** Makes a token of what the product offers, and shows its secret. */
import { useState } from "preact/hooks";
import type { OfferedScopeJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import type { IssueRequestJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { api, retryKeys } from "../api.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Choice, Field, Form } from "../parts/form.tsx";
import type { Problem } from "../problem.ts";
import { issuableTypes, planOf, useSession } from "../session.ts";
import { DAY_MS, limitInWords } from "../times.ts";
import { useReport } from "../use-load.ts";
import { Secret } from "./secret.tsx";

const EXPIRIES = [
  ["", "Never"],
  ["30", "In 30 days"],
  ["90", "In 90 days"],
  ["365", "In a year"],
  ["date", "On a date…"],
] as const;

export function NewToken({ onDone }: { readonly onDone: (made: boolean) => void }) {
  const session = useSession();
  const { offer, organizationId } = session;
  const { report } = useReport();
  const types = issuableTypes(session);
  const permissions = offer.permissions ?? [];
  const [keyFor] = useState(retryKeys);
  const [secret, setSecret] = useState<string>();
  const [isLeaving, setLeaving] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [name, setName] = useState("");
  const [type, setType] = useState(types[0]?.name ?? "");
  // The least that there is.
  const [permission, setPermission] = useState(permissions[0]?.name ?? "");
  const [scopes, setScopes] = useState<readonly string[]>([]);
  const [expiry, setExpiry] = useState("");
  const [date, setDate] = useState("");
  const [addresses, setAddresses] = useState("");
  const [now] = useState(Date.now);

  const create = async (): Promise<void> => {
    const expiresAt =
      expiry === "date"
        ? endOfDay(date)
        : expiry === ""
          ? undefined
          : new Date(now + Number(expiry) * DAY_MS).toISOString();
    const request: IssueRequestJson = {
      organizationId,
      name,
      ...(types.length > 1 || type !== "" ? { type } : {}),
      ...(permissions.length > 0 ? { permission } : {}),
      ...(scopes.length > 0 ? { scopes: [...scopes] } : {}),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ipAllowlist: addresses.split(/[\s,]+/).filter((address) => address !== ""),
    };
    const answer = await api.issue({ ...request, idempotencyKey: keyFor(request) });
    setSecret(answer.secret ?? "");
  };

  if (secret !== undefined) {
    return (
      <Dialog title={`“${name}” is ready`} onLeave={() => setLeaving(true)} isWide>
        <Secret secret={secret} isLeaving={isLeaving} onStay={() => setLeaving(false)} onDone={() => onDone(true)} />
      </Dialog>
    );
  }
  return (
    <Dialog title={offer.newTokenLabel ?? "New token"} onLeave={() => onDone(false)} isWide>
      <Form
        submitLabel="Create"
        onSubmit={create}
        onProblem={setProblem}
        report={report}
        fields={["name", "expires_at", "ip_allowlist"]}
        actions={
          <button type="button" onClick={() => onDone(false)}>
            Cancel
          </button>
        }
      >
        <Field
          name="name"
          label="Name"
          hint="Where it will run, for example “CI pipeline”. Use one for each place."
          value={name}
          onValue={setName}
          problem={problem}
          autocomplete="off"
          required
        />
        {types.length > 1 ? (
          <Options
            legend="Type"
            name="type"
            value={type}
            onValue={setType}
            options={types.map((one) => ({
              value: one.name ?? "",
              text: titled(one.name ?? ""),
              description: one.description ?? "",
              detail: one.rateLimit === undefined ? "" : limitInWords(one.rateLimit),
            }))}
          />
        ) : null}
        {permissions.length > 0 ? (
          <Options
            legend="Permission"
            name="permission"
            value={permission}
            onValue={setPermission}
            options={permissions.map((one) => ({
              value: one.name ?? "",
              text: titled(one.name ?? ""),
              description: one.description ?? "",
              detail: (one.scopes ?? []).map(({ description = "" }) => description).join(" · "),
            }))}
          />
        ) : null}
        {(offer.scopes ?? []).length > 0 ? (
          <ScopeChoice scopes={offer.scopes ?? []} chosen={scopes} onChosen={setScopes} />
        ) : null}
        {offer.expiry ? (
          <div class="row">
            <Choice label="Expires" value={expiry} options={EXPIRIES} onValue={setExpiry} />
            {expiry === "date" ? (
              <Field
                name="expires_at"
                type="date"
                label="Last day"
                value={date}
                onValue={setDate}
                problem={problem}
                min={new Date(now).toISOString().slice(0, 10)}
                required
              />
            ) : null}
          </div>
        ) : null}
        {planOf(session)?.ipAllowlist ? (
          <Field
            name="ip_allowlist"
            label="Addresses"
            hint="Addresses and CIDR blocks that may use it, separated by spaces. Leave it empty for any."
            value={addresses}
            onValue={setAddresses}
            problem={problem}
            autocomplete="off"
            spellcheck={false}
          />
        ) : null}
      </Form>
    </Dialog>
  );
}

interface OptionsProps {
  readonly legend: string;
  readonly name: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly options: readonly {
    readonly value: string;
    readonly text: string;
    readonly description: string;
    readonly detail: string;
  }[];
}

function Options({ legend, name, value, onValue, options }: OptionsProps) {
  return (
    <fieldset class="options">
      <legend>{legend}</legend>
      {options.map((option) => (
        <label key={option.value} class="option">
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onValue(option.value)}
          />
          <span>
            <strong>{option.text}</strong>
            <span class="description">{option.description}</span>
            {option.detail === "" ? null : <span class="detail">{option.detail}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface ScopeChoiceProps {
  readonly scopes: readonly OfferedScopeJson[];
  readonly chosen: readonly string[];
  readonly onChosen: (chosen: readonly string[]) => void;
}

/** Scopes in groups, by what stands before their colon. */
function ScopeChoice({ scopes, chosen, onChosen }: ScopeChoiceProps) {
  const groups = Object.entries(Object.groupBy(scopes, ({ name = "" }) => name.split(":")[0] ?? ""));
  const toggle = (name: string): void =>
    onChosen(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <fieldset class="scopes">
      <legend>Scopes</legend>
      <p class="hint">Choose the least that it needs. Without any it can still do what needs no scope.</p>
      <div class="scope-groups">
        {groups.map(([group, members = []]) => (
          <fieldset key={group}>
            <legend>{titled(group)}</legend>
            {members.map(({ name = "", description = "" }) => (
              <label key={name} class="scope">
                <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
                <span>
                  <code>{name}</code>
                  <span class="description">{description}</span>
                </span>
              </label>
            ))}
          </fieldset>
        ))}
      </div>
    </fieldset>
  );
}

/** `read-only` as people write it: `Read-only`; `api_key`: `Api key`. */
export function titled(name: string): string {
  const words = name.replaceAll("_", " ").replace(/\bapi\b/, "API");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The last moment of a day where the browser is; what isn't a day is left for the service to refuse. */
function endOfDay(date: string): string {
  const end = new Date(`${date}T23:59:59`);
  return Number.isNaN(end.getTime()) ? "1970-01-01T00:00:00Z" : end.toISOString();
}
