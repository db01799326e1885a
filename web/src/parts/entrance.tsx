/** The card that stands alone on the pages before somebody is signed in. */
import type { ComponentChildren } from "preact";
import type { GetEntranceResponseJson } from "../../../gen/latchkey/v1/dashboard_pb.ts";
import { Heading } from "./heading.tsx";
import { Mark } from "./mark.tsx";

export interface EntranceProps {
  readonly entrance: GetEntranceResponseJson;
  readonly title: string;
  readonly children: ComponentChildren;
  readonly links?: ComponentChildren;
}

export function Entrance({ entrance: { productName = "" }, title, children, links }: EntranceProps) {
  return (
    <main class="entrance">
      <div class="brand">
        <Mark />
        <span>{productName}</span>
      </div>
      <div class="card">
        <Heading title={title} product={productName} />
        {children}
      </div>
      {links === undefined ? null : <p class="links">{links}</p>}
    </main>
  );
}
