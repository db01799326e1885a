/** Latchkey's own profile: the service keys that authenticate backends to it. */
import { type Profile, SERVICE_KEY_TYPE, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import { SERVICE_SCOPES } from "../domain/scopes.ts";

export const latchkey: Profile = {
  id: SERVICE_PROFILE_ID,
  secretFormat: { prefix: "lk_", alphabet: "base62", randomLength: 42 },
  credentialHeaders: ["authorization", "x-api-key"],
  permissionModel: { kind: "scopes", catalog: SERVICE_SCOPES },
  types: [SERVICE_KEY_TYPE],
  expiry: "optional",
  ipAllowlistPlans: ["standard"],
  plans: ["standard"],
  managers: { roles: [], tokens: false },
  listsRevoked: true,
};
