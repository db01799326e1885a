/** walwarden: least-privilege tokens from a closed scope catalog; revoked ones stay listed. */
import type { Profile } from "../domain/profile.ts";

export const walwarden: Profile = {
  id: "walwarden",
  secretFormat: { prefix: "wal_", alphabet: "hex", randomLength: 56 },
  credentialHeaders: ["authorization"],
  permissionModel: {
    kind: "scopes",
    catalog: [
      "databases:read",
      "databases:write",
      "destinations:read",
      "destinations:write",
      "backups:trigger",
      "restores:read",
      "restores:write",
      "evidence:read",
      "evidence:export",
      "audit:read",
      "readiness:read",
    ],
  },
  types: [],
  expiry: "optional",
  ipAllowlistPlans: [],
  plans: ["team"],
  managers: { roles: ["owner", "admin"], tokens: false },
  listsRevoked: true,
};
