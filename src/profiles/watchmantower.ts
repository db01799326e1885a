/** Watchman Tower: read-only or full keys, with an optional expiry, and addresses on the Enterprise plan. */
import type { Profile } from "../domain/profile.ts";

const READ_SCOPES = ["monitors:read", "metrics:read", "incidents:read", "uptime:read"];
const WRITE_SCOPES = ["monitors:write", "alerts:write", "integrations:write", "team:write", "account:write"];

export const watchmantower: Profile = {
  id: "watchmantower",
  secretFormat: { prefix: "wmt_api_", alphabet: "base62", randomLength: 42 },
  credentialHeaders: ["authorization", "x-api-key"],
  permissionModel: {
    kind: "permissions",
    permissions: new Map([
      ["read-only", READ_SCOPES],
      ["full", [...READ_SCOPES, ...WRITE_SCOPES]],
    ]),
  },
  types: [],
  expiry: "optional",
  ipAllowlistPlans: ["enterprise"],
  plans: ["free", "solo", "team", "stack", "enterprise"],
  managers: { roles: ["owner", "admin", "member"], tokens: true },
  listsRevoked: false,
};
