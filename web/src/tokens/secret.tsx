/** A secret, shown this once. It is not left without a word. */
import { useEffect, useState } from "preact/hooks";
import { Copyable } from "../parts/copy.tsx";
import { Notice } from "../parts/feedback.tsx";
import { useSession } from "../session.ts";

export interface SecretProps {
  readonly secret: string;
  /** Somebody tried to leave, by Escape for example: asks whether they have it. */
  readonly isLeaving: boolean;
  readonly onStay: () => void;
  readonly onDone: () => void;
}

export function Secret({ secret, isLeaving, onStay, onDone }: SecretProps) {
  const { offer } = useSession();
  const noun = offer.tokenNoun ?? "token";
  const [isCopied, setCopied] = useState(false);
  const [wantsOut, setWantsOut] = useState(false);
  useEffect(() => {
    // The browser asks in its own words.
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, []);
  const asks = wantsOut || isLeaving;
  const header =
    offer.credentialHeaders?.[0] === "x-api-key" ? `X-Api-Key: ${secret}` : `Authorization: Bearer ${secret}`;
  const example = `curl -H '${header}' \\\n  ${location.origin}${offer.basePath}/api-tokens/self`;
  return (
    <>
      <Notice kind="warn">
        Copy the {noun} now and keep it in a secret manager. <strong>It won’t be shown again.</strong>
      </Notice>
      <h3>Your {noun}</h3>
      <Copyable text={secret} what={noun} onCopied={() => setCopied(true)} />
      <h3>Try it</h3>
      <Copyable text={example} what="example" isBlock onCopied={() => setCopied(true)} />
      {asks ? (
        <div class="notice warn" role="alert">
          <p>
            {isCopied
              ? `Have you kept the ${noun}? There is no way to see it again.`
              : `You haven’t copied the ${noun}, and there is no way to see it again.`}
          </p>
          <div class="actions">
            <button
              type="button"
              onClick={() => {
                setWantsOut(false);
                onStay();
              }}
            >
              Stay here
            </button>
            <button type="button" class={isCopied ? "primary" : "danger"} onClick={onDone}>
              {isCopied ? "I have kept it" : "Leave without it"}
            </button>
          </div>
        </div>
      ) : (
        <div class="actions">
          <button type="button" class="primary" onClick={() => setWantsOut(true)}>
            Done
          </button>
        </div>
      )}
    </>
  );
}
