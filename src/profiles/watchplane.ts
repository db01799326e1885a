/** Watchplane: tokens have full admin access and never expire. */
import type { Profile } from "../domain/profile.ts";

export const watchplane: Profile = {
  id: "watchplane",
  secretFormat: { prefix: "wp_", alphabet: "hex", randomLength: 40 },
  credentialHeaders: ["x-api-key"],
  permissionModel: { kind: "full" },
  types: [],
  expiry: "never",
  ipAllowlistPlans: [],
  plans: ["standard"],
  managers: { roles: ["owner", "admin"], tokens: true },
  listsRevoked: false,
};
