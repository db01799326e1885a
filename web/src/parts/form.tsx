/** Fields with their names, hints and faults, and forms that wait for an answer. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { toProblem } from "../api.ts";
import type { Problem } from "../problem.ts";
import { Failure } from "./feedback.tsx";

export interface FieldProps {
  readonly label: string;
  /** The API's name of the field, by which a fault finds it. */
  readonly name: string;
  readonly hint?: string;
  readonly problem?: Problem | undefined;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly type?: "text" | "email" | "password" | "search" | "date";
  readonly autocomplete?: "username" | "current-password" | "new-password" | "organization" | "off";
  readonly autocapitalize?: "off";
  readonly spellcheck?: boolean;
  readonly required?: boolean;
  /** Of a date. */
  readonly min?: string;
}

export function Field({ label, hint, problem, value, onValue, type = "text", ...input }: FieldProps) {
  const id = useId();
  // Preact knows each type of input apart; a field has what they share.
  const attributes = { ...input, type } as JSX.IntrinsicElements["input"];
  const fault = problem?.field === input.name ? problem?.message : undefined;
  const about = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...attributes}
        id={id}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
        {...(about === "" ? {} : { "aria-describedby": about })}
        aria-invalid={fault !== undefined}
      />
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {fault === undefined ? null : (
        <p class="fault" id={`${id}-fault`}>
          {fault}
        </p>
      )}
    </div>
  );
}

export interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onValue: (value: string) => void;
  readonly hint?: string;
  /** For one whose place says what it is. */
  readonly isLabelHidden?: boolean;
}

export function Choice({ label, value, options, onValue, hint, isLabelHidden = false }: ChoiceProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class={isLabelHidden ? "visually-hidden" : ""}>
        {label}
      </label>
      <select
        id={id}
        value={value}
        onChange={(event) => onValue(event.currentTarget.value)}
        {...(hint === undefined ? {} : { "aria-describedby": `${id}-hint` })}
      >
        {options.map(([name, text]) => (
          <option key={name} value={name} selected={name === value}>
            {text}
          </option>
        ))}
      </select>
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

export interface FormProps {
  readonly submitLabel: string;
  readonly onSubmit: () => Promise<void>;
  /** Is told of failures, for its fields to show. */
  readonly onProblem?: (problem: Problem | undefined) => void;
  /** Names of the fields that show their own faults. */
  readonly fields?: readonly string[];
  /** Turns what was thrown into a problem; the default only that. */
  readonly report?: (thrown: unknown) => Problem;
  readonly isDisabled?: boolean;
  readonly isDangerous?: boolean;
  /** Beside the button that submits. */
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}

export function Form(props: FormProps) {
  const {
    submitLabel,
    onSubmit,
    onProblem,
    fields = [],
    report = toProblem,
    isDisabled = false,
    isDangerous = false,
  } = props;
  const [problem, setProblem] = useState<Problem>();
  const [isBusy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const isThere = useRef(true);
  useEffect(() => () => void (isThere.current = false), []);
  useEffect(() => {
    if (problem?.field !== undefined) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [problem]);
  const tell = (next: Problem | undefined): void => {
    setProblem(next);
    onProblem?.(next);
  };
  const submit = async (): Promise<void> => {
    if (isBusy || isDisabled) return;
    setBusy(true);
    tell(undefined);
    try {
      await onSubmit();
    } catch (thrown) {
      if (isThere.current) tell(report(thrown));
    }
    if (isThere.current) setBusy(false);
  };
  const isShownByField = problem?.field !== undefined && fields.includes(problem.field);
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {problem === undefined || isShownByField ? null : <Failure problem={problem} />}
      {props.children}
      <div class="actions">
        {props.actions}
        <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={isDisabled} aria-busy={isBusy}>
          {submitLabel}
        </button>
      </div>
    </form>
  );
}
