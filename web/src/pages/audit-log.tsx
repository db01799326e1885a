import { useState } from "preact/hooks";
import type { EventJson } from "../../../gen/latchkey/v1/audit_pb.ts";
import { api } from "../api.ts";
import { Empty, Failure, Loading } from "../parts/feedback.tsx";
import { Choice } from "../parts/form.tsx";
import { Heading } from "../parts/heading.tsx";
import { Moment } from "../parts/moment.tsx";
import { useSession } from "../session.ts";
import { exactTime, number } from "../times.ts";
import { useLoad } from "../use-load.ts";

const PAGE_SIZE = 50;
const MOST_MEMBERS = 1000;

/** What was done, in words; what isn't here is shown by its own name. */
const WORDS: Readonly<Record<string, string>> = {
  "organization.created": "Made the organization",
  "organization.plan_set": "Changed the plan",
  "organization.profile_set": "Changed the product",
  "member.invited": "Invited",
  "member.invitation_revoked": "Withdrew the invitation of",
  "member.added": "Added the member",
  "member.role_set": "Changed the role of",
  "member.removed": "Removed the member",
  "token.issued": "Issued",
  "token.imported": "Imported",
  "token.updated": "Changed",
  "token.enabled": "Enabled",
  "token.disabled": "Disabled",
  "token.rotated": "Rotated",
  "token.rotation_finished": "Finished the rotation of",
  "token.rotation_cancelled": "Cancelled the rotation of",
  "token.revoked": "Revoked",
  "token.purged": "Purged",
  "tokens.revoked_many": "Revoked many",
  "user.signed_in": "Signed in",
  "user.sign_in_failed": "Refused sign-in",
  "user.password_link_sent": "Asked for a new password",
  "user.password_restored": "Restored the password",
  "user.password_changed": "Changed the password",
  "user.registration_refused": "Refused registration",
  "session.ended": "Ended the session",
};

/** Filters by the start of an action's name. */
const KINDS = [
  ["", "Everything"],
  ["token", "Tokens"],
  ["member", "Members"],
  ["user|session", "Sign-ins"],
  ["organization", "Organization"],
] as const;

export function AuditLogPage() {
  const { organizationId, offer } = useSession();
  const [kind, setKind] = useState("");
  const [shown, setShown] = useState(PAGE_SIZE);
  const actions = Object.keys(WORDS).filter((action) => kind !== "" && new RegExp(`^(?:${kind})s?\\.`).test(action));
  const { data, problem, isLoading, reload } = useLoad(async () => {
    const [{ events = [], nextPageToken = "" }, { members = [] }] = await Promise.all([
      api.listEvents({ organizationId, actions, newestFirst: true, pageSize: shown }),
      api.listMembers({ organizationId, pageSize: MOST_MEMBERS }),
    ]);
    const people = new Map(members.map(({ user }) => [user?.id ?? "", user?.email ?? ""]));
    return { events, nextPageToken, people };
  }, `${organizationId} ${kind} ${shown}`);
  return (
    <>
      <Heading title="Audit log" product={offer.productName ?? ""}>
        <ChainMark />
      </Heading>
      <p class="lead">Every change, and who made it. Nothing in it can be changed or taken away without a trace.</p>
      <div class="filters">
        <Choice label="Show" value={kind} options={KINDS} onValue={setKind} />
      </div>
      {problem === undefined ? null : <Failure problem={problem} onRetry={reload} />}
      {data === undefined && problem === undefined ? <Loading what="events" /> : null}
      {data?.events.length === 0 ? (
        <Empty title="Nothing here">
          <p>Nothing of this kind has happened yet.</p>
        </Empty>
      ) : null}
      {data === undefined || data.events.length === 0 ? null : (
        <>
          <table class="cards" aria-busy={isLoading}>
            <caption class="visually-hidden">Audit log</caption>
            <thead>
              <tr>
                {["When", "Who", "What", "From"].map((title) => (
                  <th key={title} scope="col">
                    {title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {data.events.map((event) => (
                <EventRow key={event.revision} event={event} people={data.people} />
              ))}
            </tbody>
          </table>
          {data.nextPageToken === "" ? null : (
            <p class="more">
              <button type="button" onClick={() => setShown(shown + PAGE_SIZE)} aria-busy={isLoading}>
                Show more
              </button>
            </p>
          )}
        </>
      )}
    </>
  );
}

function EventRow({ event, people }: { readonly event: EventJson; readonly people: ReadonlyMap<string, string> }) {
  const { time, actor: { kind = "", id = "" } = {}, action = "", targetName = "", target = "", address = "" } = event;
  const { scopes = [], details = {} } = event;
  const who = people.get(id) ?? WHO[kind] ?? id;
  const facts = Object.entries(details)
    .filter(([name]) => !UNSAID.has(name))
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${people.get(value) ?? inWords(value)}`);
  return (
    <tr>
      <td data-label="When">
        <Moment at={time} />
      </td>
      <td data-label="Who">
        {who}
        {kind === "service" || kind === "token" ? <code class="sub">{id}</code> : null}
      </td>
      <td data-label="What">
        <span>
          {WORDS[action] ?? action} <strong>{targetName || target}</strong>
        </span>
        {scopes.length === 0 ? null : <span class="sub">{scopes.join(" ")}</span>}
        {facts.length === 0 ? null : <span class="sub">{facts.join(" · ")}</span>}
      </td>
      <td data-label="From">{address === "" ? <span class="faint">—</span> : <code>{address}</code>}</td>
    </tr>
  );
}

/** Details that say nothing to people of the organization. */
const UNSAID: ReadonlySet<string> = new Set(["session", "profile"]);

/** A moment as people read it; anything else as it is. */
const inWords = (value: string): string =>
  /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? exactTime(value) : value.replaceAll("_", " ");

const WHO: Readonly<Record<string, string>> = {
  system: "The service itself",
  anonymous: "Somebody unknown",
  service: "A backend",
  token: "An API token",
};

/** Whether the log's chain of hashes is whole, as the service has just recomputed it. */
function ChainMark() {
  const { organizationId } = useSession();
  const { data, problem, isLoading, reload } = useLoad(() => api.verifyChain({ organizationId }), organizationId);
  if (problem !== undefined) {
    return (
      <button type="button" onClick={reload}>
        Verify the chain
      </button>
    );
  }
  if (data === undefined || isLoading) {
    return (
      <span class="badge plain" role="status">
        Verifying the chain…
      </span>
    );
  }
  return data.fault === undefined ? (
    <span class="badge good mark-verified" role="status" title="The service has just recomputed every hash">
      ✓ Chain verified, {number(Number(data.count ?? 0))} events
    </span>
  ) : (
    <span class="badge bad" role="alert">
      Broken at event {data.fault.sequence}: tell whoever runs this service
    </span>
  );
}
