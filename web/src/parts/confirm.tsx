/** Asks before something is done. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useReport } from "../use-load.ts";
import { Dialog } from "./dialog.tsx";
import { Field, Form } from "./form.tsx";

export interface ConfirmProps {
  readonly title: string;
  readonly actionLabel: string;
  readonly isDangerous?: boolean;
  /** What has to be typed first; undefined for nothing. */
  readonly typed?: string;
  readonly onConfirm: () => Promise<void>;
  readonly onLeave: () => void;
  readonly children: ComponentChildren;
}

export function Confirm({
  title,
  actionLabel,
  isDangerous = false,
  typed,
  onConfirm,
  onLeave,
  children,
}: ConfirmProps) {
  const { report } = useReport();
  const [text, setText] = useState("");
  return (
    <Dialog title={title} onLeave={onLeave}>
      <Form
        submitLabel={actionLabel}
        isDangerous={isDangerous}
        isDisabled={typed !== undefined && text !== typed}
        report={report}
        onSubmit={onConfirm}
        actions={
          <button type="button" onClick={onLeave}>
            Cancel
          </button>
        }
      >
        {children}
        {typed === undefined ? null : (
          <Field
            name="confirmation"
            label={`Type “${typed}” to confirm`}
            value={text}
            onValue={setText}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
          />
        )}
      </Form>
    </Dialog>
  );
}
