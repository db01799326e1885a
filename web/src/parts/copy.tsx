/** A text to be taken elsewhere, with a button that copies it. */
import { useState } from "preact/hooks";
import { announce } from "./feedback.tsx";

export interface CopyProps {
  readonly text: string;
  /** What the text is, in a sentence: `token`. */
  readonly what: string;
  readonly onCopied?: () => void;
  /** Several lines, or one that may be long. */
  readonly isBlock?: boolean;
}

export function Copyable({ text, what, onCopied, isBlock = false }: CopyProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      // There on secure origins only.
      await navigator.clipboard.writeText(text);
    } catch {
      announce(`Your browser doesn’t let pages copy here: select the ${what} and copy it yourself.`);
      return;
    }
    setCopied(true);
    announce(`The ${what} is copied.`);
    onCopied?.();
  };
  return (
    <div class={isBlock ? "copyable block" : "copyable"}>
      <code tabIndex={0} aria-label={what} onCopy={() => onCopied?.()}>
        {text}
      </code>
      <button type="button" onClick={() => void copy()} aria-label={`Copy the ${what}`}>
        {isCopied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
