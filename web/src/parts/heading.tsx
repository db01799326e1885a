/** The title of a page, which gets the keyboard when one comes from another page. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

let isFirst = true;

/** @param product whose dashboard it is, for the browser's tab */
export function Heading({
  title,
  product,
  children,
}: {
  readonly title: string;
  readonly product: string;
  readonly children?: ComponentChildren;
}) {
  const element = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // Whoever opens the site starts at its top.
    if (!isFirst) element.current?.focus();
    isFirst = false;
  }, []);
  useEffect(() => {
    document.title = product === "" ? title : `${title} · ${product}`;
  }, [title, product]);
  return (
    <div class="heading">
      <h1 ref={element} tabIndex={-1}>
        {title}
      </h1>
      {children === undefined ? null : <div class="heading-actions">{children}</div>}
    </div>
  );
}
