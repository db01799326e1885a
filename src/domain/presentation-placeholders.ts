/** What may stand in a profile's templates: the loader lets nothing else through, and the renderer fills in all of it. */

const TOKEN = [
  "id",
  "id:uuid",
  "organization_id",
  "organization_id:uuid",
  "user_id",
  "user_id:uuid",
  "name",
  "type",
  "permission",
  "scopes",
  "ip_allowlist",
  "metadata",
  "state",
  "is_active",
  "hint",
  "created_by",
  "created_at",
  "expires_at",
  "last_used_at",
  "last_used_address",
  "revoked_at",
  "rotated_at",
  "overlap_ends_at",
  "previous_last_used_at",
] as const;

const USER = [
  "user.id",
  "user.id:uuid",
  "user.email",
  "user.first_name",
  "user.last_name",
  "user.display_name",
  "user.avatar_url",
] as const;

/** The placeholders of each template, without their braces. `token` in an answer stands for the token's template. */
export const PLACEHOLDERS = {
  token: TOKEN,
  issue: [...TOKEN, "token", "secret"],
  oneToken: [...TOKEN, "token"],
  list: ["tokens", "next_page_token"],
  login: ["access_token", "refresh_token", ...USER],
  refresh: ["access_token", "refresh_token"],
  me: USER,
  error: ["code", "message", "status"],
} as const;
