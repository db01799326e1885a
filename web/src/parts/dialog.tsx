/** A window above the page that holds the keyboard until it is answered. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";

export interface DialogProps {
  readonly title: string;
  /** Somebody wants out: by Escape, or by the button. */
  readonly onLeave: () => void;
  readonly isWide?: boolean;
  readonly children: ComponentChildren;
}

export function Dialog({ title, onLeave, isWide = false, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const isOpen = useRef(false);
  const titleId = useId();
  useLayoutEffect(() => {
    const dialog = element.current;
    const opener = document.activeElement;
    dialog?.showModal();
    isOpen.current = true;
    return () => {
      isOpen.current = false;
      dialog?.close();
      // What opened it may have gone with a reload of the list.
      const back = opener instanceof HTMLElement && opener.isConnected ? opener : document.querySelector("h1");
      if (back instanceof HTMLElement) back.focus();
    };
  }, []);
  useEffect(() => {
    // Another step of the same window: what had the keyboard has gone.
    if (document.activeElement === document.body) heading.current?.focus();
  }, [title]);
  return (
    <dialog
      ref={element}
      class={isWide ? "wide" : ""}
      aria-labelledby={titleId}
      onCancel={(event) => {
        // Whether it closes is not the browser's to decide.
        event.preventDefault();
        onLeave();
      }}
      onClose={() => {
        // A second Escape closes it without asking.
        if (!isOpen.current) return;
        element.current?.showModal();
        onLeave();
      }}
    >
      <h2 ref={heading} id={titleId} tabIndex={-1}>
        {title}
      </h2>
      {children}
    </dialog>
  );
}
