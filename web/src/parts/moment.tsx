/** A moment, as far away as it is, and exactly when somebody points at it. */
import { exactTime, relativeTime } from "../times.ts";

export function Moment({ at, never = "Never" }: { readonly at: string | undefined; readonly never?: string }) {
  if (at === undefined) return <span class="faint">{never}</span>;
  return (
    <time dateTime={at} title={exactTime(at)}>
      {relativeTime(at)}
    </time>
  );
}
