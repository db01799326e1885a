/** Plane: personal API keys and workspace-level service tokens. */
import type { Profile } from "../domain/profile.ts";

export const plane: Profile = {
  id: "plane",
  secretFormat: { prefix: "pk_", alphabet: "hex", randomLength: 40 },
  credentialHeaders: ["x-api-key"],
  permissionModel: { kind: "full" },
  types: ["api_key", "service"],
  expiry: "optional",
  ipAllowlistPlans: [],
  plans: ["standard"],
  managers: { roles: ["owner", "admin"], tokens: false },
  listsRevoked: true,
};
