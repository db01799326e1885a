/** What there is to say of a token's condition, and what can be done with it. */
import type { TokenJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { DAY_MS } from "../times.ts";

/** From then on a token that nobody uses, or a secret that nobody changed, is worth a look. */
const OLD_MS = 90 * DAY_MS;

export interface Remark {
  readonly text: string;
  readonly kind: "good" | "warn" | "bad" | "plain";
  /** What it means, for who wonders. */
  readonly title: string;
}

export function stateOf({ state }: TokenJson): Remark {
  switch (state) {
    case "TOKEN_STATE_DISABLED":
      return { text: "Disabled", kind: "plain", title: "Switched off until somebody enables it" };
    case "TOKEN_STATE_EXPIRED":
      return { text: "Expired", kind: "plain", title: "Past its expiry" };
    case "TOKEN_STATE_REVOKED":
      return { text: "Revoked", kind: "bad", title: "Ended for good" };
    default:
      return { text: "Active", kind: "good", title: "Works" };
  }
}

export function remarksOn(token: TokenJson, nowMs = Date.now()): readonly Remark[] {
  if (isOver(token)) return [];
  const { createdAt = "", lastUsedAt, rotation, expiresAt } = token;
  const isOlder = (iso: string): boolean => nowMs - Date.parse(iso) > OLD_MS;
  const expiresInMs = expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt) - nowMs;
  return [
    ...(isOlder(lastUsedAt ?? createdAt)
      ? [{ text: "Unused for 90 days", kind: "warn", title: "Nobody seems to need it: revoke it" } as const]
      : []),
    ...(isOlder(rotation?.startedAt ?? createdAt)
      ? [{ text: "Rotation due", kind: "warn", title: "Its secret is older than 90 days" } as const]
      : []),
    ...(expiresInMs < 14 * DAY_MS
      ? [{ text: "Expires soon", kind: "warn", title: "It stops working within 14 days" } as const]
      : []),
  ];
}

export const isOver = ({ state }: TokenJson): boolean =>
  state === "TOKEN_STATE_REVOKED" || state === "TOKEN_STATE_EXPIRED";

/** Whether the secret before the last rotation still works. */
export const overlapRuns = (token: TokenJson, nowMs = Date.now()): boolean =>
  !isOver(token) && Date.parse(token.rotation?.overlapEndsAt ?? "") > nowMs;
