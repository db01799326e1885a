/** What a service key may ask of Latchkey itself. */

export const SERVICE_SCOPES = [
  "introspect",
  "tokens:read",
  "tokens:write",
  "auth",
  "organizations:read",
  "organizations:write",
  "audit:read",
] as const;

export type ServiceScope = (typeof SERVICE_SCOPES)[number];
