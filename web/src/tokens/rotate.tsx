/** Gives a token a new secret, and shows it. */
import { useState } from "preact/hooks";
import type { RotateRequestJson, TokenJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { api, retryKeys } from "../api.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Choice, Form } from "../parts/form.tsx";
import { useSession } from "../session.ts";
import { useReport } from "../use-load.ts";
import { Secret } from "./secret.tsx";

const OVERLAPS = [
  ["0", "Not at all: stop it now"],
  ["3600", "For an hour"],
  ["86400", "For a day"],
  ["604800", "For 7 days"],
  ["2592000", "For 30 days"],
] as const;

export function Rotate({ token, onDone }: { readonly token: TokenJson; readonly onDone: (changed: boolean) => void }) {
  const { offer, organizationId } = useSession();
  const noun = offer.tokenNoun ?? "token";
  const { report } = useReport();
  const [keyFor] = useState(retryKeys);
  const [overlap, setOverlap] = useState("86400");
  const [secret, setSecret] = useState<string>();
  const [isLeaving, setLeaving] = useState(false);
  const { id = "", name = "" } = token;
  const rotate = async (): Promise<void> => {
    const request: RotateRequestJson = { organizationId, id, overlap: `${overlap}s` };
    const answer = await api.rotate({ ...request, idempotencyKey: keyFor(request) });
    setSecret(answer.secret ?? "");
  };
  if (secret !== undefined) {
    return (
      <Dialog title={`“${name}” has a new secret`} onLeave={() => setLeaving(true)} isWide>
        <Secret secret={secret} isLeaving={isLeaving} onStay={() => setLeaving(false)} onDone={() => onDone(true)} />
      </Dialog>
    );
  }
  return (
    <Dialog title={`Rotate “${name}”`} onLeave={() => onDone(false)}>
      <Form
        submitLabel="Rotate"
        onSubmit={rotate}
        report={report}
        actions={
          <button type="button" onClick={() => onDone(false)}>
            Cancel
          </button>
        }
      >
        <p>The {noun} gets a new secret. Everything else about it stays.</p>
        <Choice
          label="The old secret goes on working"
          value={overlap}
          options={OVERLAPS}
          onValue={setOverlap}
          hint="So that nothing breaks while you put the new one in its place. You can end it sooner at any time."
        />
      </Form>
    </Dialog>
  );
}
