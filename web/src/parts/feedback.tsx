/** What a page says while it waits, when it has nothing, and when something went wrong. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../problem.ts";

export function Failure({ problem, onRetry }: { readonly problem: Problem; readonly onRetry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <p>{problem.message}</p>
      {onRetry === undefined ? null : (
        <button type="button" class="quiet" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Notice({
  kind = "info",
  children,
}: {
  readonly kind?: "info" | "good" | "warn";
  readonly children: ComponentChildren;
}) {
  return (
    <div class={`notice ${kind}`} role="status">
      {children}
    </div>
  );
}

export function Loading({ what }: { readonly what: string }) {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">Loading {what}…</span>
      <div class="bar" />
      <div class="bar" />
      <div class="bar" />
    </div>
  );
}

export function Empty({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

const SHOWN_MS = 6000;
let show: (text: string) => void = () => {};

/** Says in passing that something was done. */
export const announce = (text: string): void => show(text);

/** Where `announce` speaks. There all the time, so that screen readers know of it. */
export function Announcer() {
  const [text, setText] = useState("");
  const timer = useRef(0);
  useEffect(() => {
    show = (next) => {
      clearTimeout(timer.current);
      setText(next);
      timer.current = setTimeout(() => setText(""), SHOWN_MS);
    };
  }, []);
  return (
    <div class="announcer" role="status" aria-live="polite">
      {text === "" ? null : <span>{text}</span>}
    </div>
  );
}
