/** A token in the list: a row of the table, and a card on a phone. */
import type { JSX } from "preact";
import type { DailyUseJson, TokenJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { Moment } from "../parts/moment.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { canManage, planOf, useSession } from "../session.ts";
import { isOver, overlapRuns, remarksOn, stateOf } from "./condition.ts";
import { titled } from "./new-token.tsx";

export type TokenAction = "rotate" | "finish" | "cancel" | "disable" | "enable" | "revoke";

export interface TokenRowProps {
  readonly token: TokenJson;
  readonly uses: readonly DailyUseJson[];
  /** Whether the table has a column for what can be done. */
  readonly hasActions: boolean;
  readonly onAction: (action: TokenAction, token: TokenJson) => void;
}

export function TokenRow({ token, uses, hasActions, onAction }: TokenRowProps) {
  const session = useSession();
  const { name = "", hint = "", createdAt, lastUsedAt, lastUsedAddress = "", expiresAt, rotation } = token;
  const state = stateOf(token);
  // On a plan without tokens those that are left can still be ended.
  const isOffered = planOf(session)?.tokens === true;
  const button = (action: TokenAction, text: string, kind = "small") => (
    <button type="button" class={kind} onClick={() => onAction(action, token)} aria-label={`${text} “${name}”`}>
      {text}
    </button>
  );
  return (
    <tr class={isOver(token) ? "over" : ""}>
      <th scope="row" data-label="Name">
        <span class="name">{name}</span>
        <code class="faint">{hint}</code>
      </th>
      <td data-label="Access">
        <Access token={token} />
      </td>
      <td data-label="Created">
        <Moment at={createdAt} />
      </td>
      <td data-label="Last used">
        <Moment at={lastUsedAt} />
        {lastUsedAddress === "" ? null : <span class="sub">from {lastUsedAddress}</span>}
      </td>
      <td data-label="90 days">
        <Sparkline uses={uses} />
      </td>
      <td data-label="State">
        <span class="badges">
          {[state, ...remarksOn(token)].map(({ text, kind, title }) => (
            <span key={text} class={`badge ${kind}`} title={title}>
              {text}
            </span>
          ))}
        </span>
        {expiresAt === undefined || isOver(token) ? null : (
          <span class="sub">
            expires <Moment at={expiresAt} />
          </span>
        )}
        {overlapRuns(token) ? (
          <span class="sub">
            old secret ends <Moment at={rotation?.overlapEndsAt} />, last used{" "}
            <Moment at={rotation?.previousLastUsedAt} never="not since" />
          </span>
        ) : null}
      </td>
      {hasActions ? (
        <td class="row-actions">
          {isOver(token) || !canManage(session, token) ? null : (
            <div>
              {isOffered ? <Changes token={token} button={button} /> : null}
              {button("revoke", "Revoke", "small danger-text")}
            </div>
          )}
        </td>
      ) : null}
    </tr>
  );
}

interface ChangesProps {
  readonly token: TokenJson;
  readonly button: (action: TokenAction, text: string) => JSX.Element;
}

/** All that can be done to a token but to end it. */
function Changes({ token, button }: ChangesProps) {
  return (
    <>
      {overlapRuns(token) ? (
        <>
          {button("finish", "Finish rotation")}
          {button("cancel", "Cancel rotation")}
        </>
      ) : (
        button("rotate", "Rotate")
      )}
      {token.state === "TOKEN_STATE_DISABLED" ? button("enable", "Enable") : button("disable", "Disable")}
    </>
  );
}

/** What a token may do, in the product's terms. */
function Access({
  token: { permission = "", scopes = [], type = "", ipAllowlist = [] },
}: {
  readonly token: TokenJson;
}) {
  const { offer } = useSession();
  const hasScopes = (offer.scopes ?? []).length > 0;
  return (
    <>
      {type === "" ? null : <span>{titled(type)}</span>}
      {permission === "" ? null : <span>{titled(permission)}</span>}
      {hasScopes && scopes.length === 0 ? <span class="faint">No scopes</span> : null}
      {scopes.length === 0 ? null : (
        <span class="chips">
          {scopes.map((scope) => (
            <code key={scope}>{scope}</code>
          ))}
        </span>
      )}
      {type === "" && permission === "" && !hasScopes ? <span>Full access</span> : null}
      {ipAllowlist.length === 0 ? null : <span class="sub">from {ipAllowlist.join(", ")} only</span>}
    </>
  );
}
