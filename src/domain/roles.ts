/** What a member of an organization may be. */

export const ROLES = ["owner", "admin", "member"] as const;

/** `owner` and `admin` manage; `member` reads. */
export type Role = (typeof ROLES)[number];
