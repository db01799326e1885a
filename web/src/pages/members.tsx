import { useState } from "preact/hooks";
import type { InvitationJson, MemberJson, RoleJson } from "../../../gen/latchkey/v1/organization_pb.ts";
import { api, retryKeys } from "../api.ts";
import { Confirm } from "../parts/confirm.tsx";
import { Copyable } from "../parts/copy.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { announce, Failure, Loading, Notice } from "../parts/feedback.tsx";
import { Choice, Field, Form } from "../parts/form.tsx";
import { Heading } from "../parts/heading.tsx";
import { Moment } from "../parts/moment.tsx";
import type { Problem } from "../problem.ts";
import { isManager, roleName, type Session, useSession } from "../session.ts";
import { useLoad, useReport } from "../use-load.ts";

const MOST = 1000;

type Asking =
  | { readonly kind: "invite" }
  | { readonly kind: "remove"; readonly member: MemberJson }
  | { readonly kind: "withdraw"; readonly invitation: InvitationJson };

export function MembersPage() {
  const session = useSession();
  const { offer, organizationId, organization } = session;
  const manages = isManager(session);
  const [asking, setAsking] = useState<Asking>();
  const { data, problem, isLoading, reload } = useLoad(async () => {
    const [{ members = [] }, { invitations = [] }] = await Promise.all([
      api.listMembers({ organizationId, pageSize: MOST }),
      manages ? api.listInvitations({ organizationId }) : { invitations: [] },
    ]);
    return { members, invitations };
  }, organizationId);
  const close = (changed: boolean): void => {
    setAsking(undefined);
    if (changed) reload();
  };
  return (
    <>
      <Heading title="Members" product={offer.productName ?? ""}>
        {manages ? (
          <button type="button" class="primary" onClick={() => setAsking({ kind: "invite" })}>
            Invite
          </button>
        ) : null}
      </Heading>
      <p class="lead">Who belongs to {organization.name}, and what they may do.</p>
      {problem === undefined ? null : <Failure problem={problem} onRetry={reload} />}
      {data === undefined && problem === undefined ? <Loading what="members" /> : null}
      {data === undefined ? null : (
        <table class="cards" aria-busy={isLoading}>
          <caption class="visually-hidden">Members</caption>
          <thead>
            <tr>
              <th scope="col">Person</th>
              <th scope="col">Role</th>
              <th scope="col">Joined</th>
              <th scope="col">
                <span class="visually-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {data.members.map((member) => (
              <MemberRow
                key={member.user?.id}
                member={member}
                onChanged={reload}
                onRemove={() => setAsking({ kind: "remove", member })}
              />
            ))}
          </tbody>
        </table>
      )}
      {data === undefined || data.invitations.length === 0 ? null : (
        <Invitations
          invitations={data.invitations}
          onWithdraw={(invitation) => setAsking({ kind: "withdraw", invitation })}
        />
      )}
      {asking?.kind === "invite" ? <Invite onDone={close} /> : null}
      {asking?.kind === "remove" ? <Remove member={asking.member} onDone={close} /> : null}
      {asking?.kind === "withdraw" ? <Withdraw invitation={asking.invitation} onDone={close} /> : null}
    </>
  );
}

/** The roles that somebody may give: only an owner makes an owner. */
const rolesToGive = ({ role }: Session): readonly (readonly [RoleJson, string])[] =>
  (["ROLE_MEMBER", "ROLE_ADMIN", "ROLE_OWNER"] as const)
    .filter((one) => one !== "ROLE_OWNER" || role === "ROLE_OWNER")
    .map((one) => [one, roleName(one)]);

interface MemberRowProps {
  readonly member: MemberJson;
  readonly onChanged: () => void;
  readonly onRemove: () => void;
}

function MemberRow({ member, onChanged, onRemove }: MemberRowProps) {
  const session = useSession();
  const { report } = useReport();
  const { user: { id = "", email = "", displayName = "" } = {}, role, joinedAt } = member;
  const isSelf = id === session.userId;
  const mayChange = isManager(session) && (role !== "ROLE_OWNER" || session.role === "ROLE_OWNER");
  const setRole = async (next: string): Promise<void> => {
    try {
      await api.setMemberRole({ organizationId: session.organizationId, userId: id, role: next as RoleJson });
      announce(`${email} is ${roleName(next as RoleJson).toLowerCase()} now.`);
      if (isSelf) await session.reload();
    } catch (thrown) {
      announce(report(thrown).message);
    }
    onChanged();
  };
  return (
    <tr>
      <th scope="row" data-label="Person">
        <span class="name">
          {displayName} {isSelf ? <span class="badge plain">You</span> : null}
        </span>
        {displayName === email ? null : <span class="sub">{email}</span>}
      </th>
      <td data-label="Role">
        {mayChange ? (
          <Choice
            label={`Role of ${email}`}
            isLabelHidden
            value={role ?? ""}
            options={rolesToGive(session)}
            onValue={(next) => void setRole(next)}
          />
        ) : (
          roleName(role)
        )}
      </td>
      <td data-label="Joined">
        <Moment at={joinedAt} />
      </td>
      <td class="row-actions">
        {mayChange || isSelf ? (
          <div>
            <button
              type="button"
              class="small danger-text"
              onClick={onRemove}
              aria-label={isSelf ? "Leave the organization" : `Remove ${email}`}
            >
              {isSelf ? "Leave" : "Remove"}
            </button>
          </div>
        ) : null}
      </td>
    </tr>
  );
}

interface InvitationsProps {
  readonly invitations: readonly InvitationJson[];
  readonly onWithdraw: (invitation: InvitationJson) => void;
}

function Invitations({ invitations, onWithdraw }: InvitationsProps) {
  return (
    <section>
      <h2>Invitations</h2>
      <table class="cards">
        <caption class="visually-hidden">Invitations</caption>
        <thead>
          <tr>
            <th scope="col">Email</th>
            <th scope="col">Role</th>
            <th scope="col">Made</th>
            <th scope="col">Works until</th>
            <th scope="col">
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {invitations.map((invitation) => (
            <tr key={invitation.id}>
              <th scope="row" data-label="Email">
                {invitation.email}
              </th>
              <td data-label="Role">{roleName(invitation.role)}</td>
              <td data-label="Made">
                <Moment at={invitation.createdAt} />
              </td>
              <td data-label="Works until">
                <Moment at={invitation.expiresAt} />
              </td>
              <td class="row-actions">
                <div>
                  <button
                    type="button"
                    class="small danger-text"
                    onClick={() => onWithdraw(invitation)}
                    aria-label={`Withdraw the invitation of ${invitation.email}`}
                  >
                    Withdraw
                  </button>
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Invite({ onDone }: { readonly onDone: (changed: boolean) => void }) {
  const session = useSession();
  const { report } = useReport();
  const [keyFor] = useState(retryKeys);
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<string>("ROLE_MEMBER");
  const [problem, setProblem] = useState<Problem>();
  const [link, setLink] = useState<string>();
  const invite = async (): Promise<void> => {
    const request = { organizationId: session.organizationId, email, role: role as RoleJson };
    const answer = await api.inviteMember({ ...request, idempotencyKey: keyFor(request) });
    const { token = "" } = answer;
    if (token === "") {
      announce(`A letter to ${email} is on its way.`);
      onDone(true);
    } else {
      setLink(answer.link ?? `${location.origin}/accept-invitation#token=${token}`);
    }
  };
  if (link !== undefined) {
    return (
      <Dialog title="Hand this link over" onLeave={() => onDone(true)} isWide>
        <Notice kind="warn">
          This service sends no mail. Give the link to {email} yourself: whoever opens it first becomes a member. It
          works once, for 7 days, and won’t be shown again.
        </Notice>
        <Copyable text={link} what="link" />
        <div class="actions">
          <button type="button" class="primary" onClick={() => onDone(true)}>
            Done
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Invite somebody" onLeave={() => onDone(false)}>
      <Form
        submitLabel="Invite"
        onSubmit={invite}
        onProblem={setProblem}
        report={report}
        fields={["email"]}
        actions={
          <button type="button" onClick={() => onDone(false)}>
            Cancel
          </button>
        }
      >
        <Field
          name="email"
          type="email"
          label="Email"
          value={email}
          onValue={setEmail}
          problem={problem}
          autocomplete="off"
          required
        />
        <Choice label="Role" value={role} options={rolesToGive(session)} onValue={setRole} />
      </Form>
    </Dialog>
  );
}

function Remove({ member, onDone }: { readonly member: MemberJson; readonly onDone: (changed: boolean) => void }) {
  const session = useSession();
  const [keyFor] = useState(retryKeys);
  const [revokeTokens, setRevokeTokens] = useState(false);
  const { user: { id = "", email = "" } = {} } = member;
  const isSelf = id === session.userId;
  const noun = session.offer.tokenNoun ?? "token";
  const remove = async (): Promise<void> => {
    const request = { organizationId: session.organizationId, userId: id, revokeTokens };
    const { revokedTokens = 0 } = await api.removeMember({ ...request, idempotencyKey: keyFor(request) });
    if (isSelf) {
      location.assign("/sign-in");
      return;
    }
    announce(`${email} is removed${revokedTokens > 0 ? `, and ${revokedTokens} ${noun}s are revoked` : ""}.`);
    onDone(true);
  };
  return (
    <Confirm
      title={isSelf ? `Leave ${session.organization.name}?` : `Remove ${email}?`}
      actionLabel={isSelf ? "Leave" : "Remove"}
      isDangerous
      onConfirm={remove}
      onLeave={() => onDone(false)}
    >
      <p>
        {isSelf ? "You lose" : "They lose"} access at once, and {isSelf ? "your" : "their"} personal {noun}s end. What
        belongs to the organization goes on.
      </p>
      {isManager(session) ? (
        <label class="scope">
          <input
            type="checkbox"
            checked={revokeTokens}
            onChange={(event) => setRevokeTokens(event.currentTarget.checked)}
          />
          <span>
            Revoke all {noun}s that are for {isSelf ? "you" : "them"}, too
          </span>
        </label>
      ) : null}
    </Confirm>
  );
}

function Withdraw({
  invitation,
  onDone,
}: {
  readonly invitation: InvitationJson;
  readonly onDone: (changed: boolean) => void;
}) {
  const { organizationId } = useSession();
  const { id = "", email = "" } = invitation;
  return (
    <Confirm
      title={`Withdraw the invitation of ${email}?`}
      actionLabel="Withdraw"
      isDangerous
      onLeave={() => onDone(false)}
      onConfirm={async () => {
        await api.revokeInvitation({ organizationId, id });
        announce(`The invitation of ${email} is withdrawn.`);
        onDone(true);
      }}
    >
      <p>Its link stops working at once.</p>
    </Confirm>
  );
}
