import { useState } from "preact/hooks";
import type { DailyUseJson, TokenJson, TokenStateJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { api, retryKeys } from "../api.ts";
import { Confirm } from "../parts/confirm.tsx";
import { announce, Empty, Failure, Loading, Notice } from "../parts/feedback.tsx";
import { Choice, Field } from "../parts/form.tsx";
import { Heading } from "../parts/heading.tsx";
import { isManager, issuableTypes, planOf, useSession } from "../session.ts";
import { NewToken } from "../tokens/new-token.tsx";
import { Rotate } from "../tokens/rotate.tsx";
import { type TokenAction, TokenRow } from "../tokens/token-row.tsx";
import { useLoad } from "../use-load.ts";

const PAGE_SIZE = 50;

const STATES: readonly (readonly [TokenStateJson | "", string])[] = [
  ["", "All"],
  ["TOKEN_STATE_ACTIVE", "Active"],
  ["TOKEN_STATE_DISABLED", "Disabled"],
  ["TOKEN_STATE_EXPIRED", "Expired"],
  ["TOKEN_STATE_REVOKED", "Revoked"],
];

interface Entry {
  readonly token: TokenJson;
  readonly uses: readonly DailyUseJson[];
}

interface Page {
  readonly entries: readonly Entry[];
  readonly nextPageToken: string;
}

export function TokensPage() {
  const session = useSession();
  const { offer, organizationId } = session;
  const [state, setState] = useState("");
  const [namePrefix, setNamePrefix] = useState("");
  const [dialog, setDialog] = useState<{ readonly action: TokenAction | "new"; readonly token?: TokenJson }>();
  // How many are shown stays when the list is read again.
  const [shown, setShown] = useState(PAGE_SIZE);
  const read = async (): Promise<Page> => {
    const {
      tokens = [],
      uses = [],
      nextPageToken = "",
    } = await api.listTokens({
      organizationId,
      includeUses: true,
      pageSize: shown,
      namePrefix,
      states: state === "" ? [] : [state as TokenStateJson],
    });
    return { entries: tokens.map((token, index) => ({ token, uses: uses[index]?.dailyUses ?? [] })), nextPageToken };
  };
  const { data, problem, isLoading, reload } = useLoad(read, `${organizationId} ${state} ${namePrefix} ${shown}`);
  const noun = offer.tokenNoun ?? "token";
  const plan = planOf(session);
  const canIssue = issuableTypes(session).length > 0 && plan?.tokens === true;
  const isFiltered = state !== "" || namePrefix !== "";
  const close = (changed: boolean): void => {
    setDialog(undefined);
    if (changed) reload();
  };
  const newButton = (
    <button type="button" class="primary" onClick={() => setDialog({ action: "new" })}>
      {offer.newTokenLabel}
    </button>
  );
  return (
    <>
      <Heading title={offer.tokensTitle ?? ""} product={offer.productName ?? ""}>
        <button type="button" onClick={reload} aria-busy={isLoading}>
          Refresh
        </button>
        {canIssue ? newButton : null}
      </Heading>
      <p class="lead">
        {noun === "key" ? "Keys" : "Tokens"} let programs call the {offer.productName} API for{" "}
        {session.organization.name}.
      </p>
      {plan !== undefined && !plan.tokens ? (
        <Notice kind="warn">
          The plan {session.organization.plan} comes without API {noun}s. They need{" "}
          {(offer.plans ?? [])
            .filter(({ tokens }) => tokens)
            .map(({ name }) => name)
            .join(" or ")}
          .
        </Notice>
      ) : null}
      <div class="filters" role="search" aria-label={`Filter the ${noun}s`}>
        <Field name="name_prefix" label="Name starts with" value={namePrefix} onValue={setNamePrefix} type="search" />
        <Choice label="State" value={state} options={STATES} onValue={setState} />
      </div>
      {problem === undefined ? null : <Failure problem={problem} onRetry={reload} />}
      {data === undefined && problem === undefined ? <Loading what={`${noun}s`} /> : null}
      {data?.entries.length === 0 ? (
        <Empty title={isFiltered ? `No ${noun} matches` : `No ${noun}s yet`}>
          {isFiltered ? (
            <button
              type="button"
              onClick={() => {
                setState("");
                setNamePrefix("");
              }}
            >
              Show all
            </button>
          ) : (
            <p>
              {canIssue
                ? `Make one for each program that calls the API. Its secret is shown once.`
                : isManager(session)
                  ? `There is nothing to see before the plan has ${noun}s.`
                  : `An admin of the organization can make one.`}
            </p>
          )}
          {canIssue && !isFiltered ? newButton : null}
        </Empty>
      ) : null}
      {data === undefined || data.entries.length === 0 ? null : (
        <TokenTable
          page={data}
          isLoading={isLoading}
          onAction={(action, token) => setDialog({ action, token })}
          onMore={() => setShown(shown + PAGE_SIZE)}
        />
      )}
      {dialog?.action === "new" ? <NewToken onDone={close} /> : null}
      {dialog?.token === undefined ? null : dialog.action === "rotate" ? (
        <Rotate token={dialog.token} onDone={close} />
      ) : (
        <Change action={dialog.action} token={dialog.token} onDone={close} />
      )}
    </>
  );
}

interface TokenTableProps {
  readonly page: Page;
  readonly isLoading: boolean;
  readonly onAction: (action: TokenAction, token: TokenJson) => void;
  readonly onMore: () => void;
}

function TokenTable({ page, isLoading, onAction, onMore }: TokenTableProps) {
  const session = useSession();
  const { offer } = session;
  // Whoever manages nothing sees no place for it either.
  const hasActions = issuableTypes(session).length > 0;
  return (
    <>
      <table class="cards" aria-busy={isLoading}>
        <caption class="visually-hidden">{offer.tokensTitle}</caption>
        <thead>
          <tr>
            {["Name", "Access", "Created", "Last used", "90 days", "State"].map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
            {hasActions ? (
              <th scope="col">
                <span class="visually-hidden">Actions</span>
              </th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {page.entries.map(({ token, uses }) => (
            <TokenRow key={token.id} token={token} uses={uses} hasActions={hasActions} onAction={onAction} />
          ))}
        </tbody>
      </table>
      {page.nextPageToken === "" ? null : (
        <p class="more">
          <button type="button" onClick={onMore} aria-busy={isLoading}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

interface ChangeProps {
  readonly action: TokenAction | "new";
  readonly token: TokenJson;
  readonly onDone: (changed: boolean) => void;
}

/** Everything that is done to a token after a question. */
function Change({ action, token, onDone }: ChangeProps) {
  const { offer, organizationId } = useSession();
  const [keyFor] = useState(retryKeys);
  const noun = offer.tokenNoun ?? "token";
  const { id = "", name = "" } = token;
  const request = { organizationId, id };
  const change = (call: (key: string) => Promise<unknown>, done: string) => async (): Promise<void> => {
    await call(keyFor({ ...request, action }));
    announce(done);
    onDone(true);
  };
  const leave = (): void => onDone(false);
  switch (action) {
    case "disable":
      return (
        <Confirm
          title={`Disable “${name}”?`}
          actionLabel="Disable"
          onLeave={leave}
          onConfirm={change(
            (idempotencyKey) => api.updateToken({ ...request, enabled: false, updateMask: "enabled", idempotencyKey }),
            `“${name}” is disabled.`,
          )}
        >
          <p>Calls with it are refused from now on, until it is enabled again.</p>
        </Confirm>
      );
    case "enable":
      return (
        <Confirm
          title={`Enable “${name}”?`}
          actionLabel="Enable"
          onLeave={leave}
          onConfirm={change(
            (idempotencyKey) => api.updateToken({ ...request, enabled: true, updateMask: "enabled", idempotencyKey }),
            `“${name}” is enabled.`,
          )}
        >
          <p>Calls with it work again at once.</p>
        </Confirm>
      );
    case "finish":
      return (
        <Confirm
          title={`Finish the rotation of “${name}”?`}
          actionLabel="Finish"
          onLeave={leave}
          onConfirm={change(
            (idempotencyKey) => api.finishRotation({ ...request, idempotencyKey }),
            `The old secret of “${name}” has stopped.`,
          )}
        >
          <p>The old secret stops working at once. Make sure that nothing uses it any more.</p>
        </Confirm>
      );
    case "cancel":
      return (
        <Confirm
          title={`Cancel the rotation of “${name}”?`}
          actionLabel="Cancel rotation"
          onLeave={leave}
          onConfirm={change(
            (idempotencyKey) => api.cancelRotation({ ...request, idempotencyKey }),
            `“${name}” has its old secret again.`,
          )}
        >
          <p>The new secret stops working at once, and the old one is the only one again.</p>
        </Confirm>
      );
    case "revoke":
      return (
        <Confirm
          title={`Revoke “${name}”?`}
          actionLabel="Revoke"
          isDangerous
          typed={name}
          onLeave={leave}
          onConfirm={change((idempotencyKey) => api.revoke({ ...request, idempotencyKey }), `“${name}” is revoked.`)}
        >
          <p>
            The {noun} <code>{token.hint}</code> ends at once and for good: calls with it fail from now on. This can’t
            be undone.
          </p>
        </Confirm>
      );
    case "rotate":
    case "new":
      return null;
  }
}
