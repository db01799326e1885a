/** What the identity file may say, every fault in one that says something else, and the settings that it stands for. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as z from "zod/mini";
import { readDocument } from "../documents/document-file.ts";
import { ASYMMETRIC_ALGORITHMS, type IssuerSettings } from "../domain/external-tokens.ts";
import { ROLES } from "../domain/roles.ts";
import type { ProviderSettings } from "../domain/sign-in-providers.ts";
import { documentFaults, organization, patterned, repeats, settingName } from "./document-fields.ts";

/** Other services that say who people are. */
export interface IdentitySettings {
  /** Those whose access tokens are accepted. */
  readonly issuers: readonly IssuerSettings[];
  /** Those that sign people in to the dashboard. */
  readonly providers: readonly ProviderSettings[];
}

export const NO_IDENTITY: IdentitySettings = { issuers: [], providers: [] };

/** What issuers sign with unless they say otherwise; RFC 9068 asks for RS256 at least. */
const USUAL_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;

const DAY_S = 86_400;

const MAX_SECRET_LENGTH = 4096;

const something = patterned(/^.{1,1000}$/su, "must be a text");

const url = z
  .string({ error: "must be a URL" })
  .check(z.refine(isSafeUrl, { error: "must be an https URL (http on this machine only) without user and fragment" }));

const issuerUrl = url.check(z.refine((value) => !value.includes("?"), { error: "must have no query" }));

const role = z.enum(ROLES, { error: `must be one of ${ROLES.join(", ")}` });

const oneOrMore = z.pipe(
  z.union([something, z.array(something).check(z.minLength(1))], { error: "must be a text or a list of texts" }),
  z.transform((value: string | string[]) => (typeof value === "string" ? [value] : value)),
);

const organizationRule = z.union(
  [
    z.pipe(
      organization,
      z.transform((id) => ({ kind: "fixed" as const, id })),
    ),
    z.pipe(
      z.strictObject({ claim: oneOrMore, values: z.optional(z.record(something, organization)) }),
      z.transform(({ claim, values }) => ({ kind: "claim" as const, claim, ids: values })),
    ),
  ],
  { error: "must be an organization's id, org_…, or a map of claim and values, whose values are such ids" },
);

const roleRule = z.union(
  [
    z.pipe(
      role,
      z.transform((fixed) => ({ kind: "fixed" as const, role: fixed })),
    ),
    z.pipe(
      z.strictObject({
        claim: oneOrMore,
        values: z._default(z.record(something, role), () => Object.fromEntries(ROLES.map((one) => [one, one]))),
        default: z.optional(role),
      }),
      z.transform(({ claim, values, default: fallback }) => ({
        kind: "claim" as const,
        claim,
        roles: values,
        fallback,
      })),
    ),
  ],
  {
    error: `must be one of ${ROLES.join(", ")}, or a map of claim, values and default, whose values and default are such roles`,
  },
);

const issuer = z.pipe(
  z.strictObject({
    name: settingName,
    issuer: issuerUrl,
    audience: oneOrMore,
    algorithms: z._default(
      z
        .array(
          z.enum(ASYMMETRIC_ALGORITHMS, {
            error: `must be among ${ASYMMETRIC_ALGORITHMS.join(", ")}: who can verify must not be able to sign`,
          }),
        )
        .check(z.minLength(1, { error: "must hold at least one" })),
      () => [...USUAL_ALGORITHMS],
    ),
    token_type: z._default(z.enum(["at+jwt", "jwt"], { error: "must be at+jwt or jwt" }), "at+jwt"),
    jwks_uri: z.optional(url),
    max_age_seconds: z._default(
      z
        .int({ error: "must be a whole number" })
        .check(z.gte(60, { error: "must be at least 60" }), z.lte(30 * DAY_S, { error: "must be at most 30 days" })),
      DAY_S,
    ),
    organization: organizationRule,
    role: roleRule,
  }),
  z.transform(
    (read): IssuerSettings => ({
      name: read.name,
      issuer: read.issuer,
      audiences: read.audience,
      algorithms: read.algorithms,
      tokenType: read.token_type,
      jwksUri: read.jwks_uri,
      maxAgeSeconds: read.max_age_seconds,
      organization: read.organization,
      role: read.role,
    }),
  ),
);

const provider = z.strictObject({
  name: settingName,
  label: z.optional(something),
  issuer: issuerUrl,
  client_id: something,
  client_secret_file: something,
});

const identityFile = z.strictObject({
  issuers: z._default(z.array(issuer, { error: "must be a list" }), []),
  sign_in: z._default(z.array(provider, { error: "must be a list" }), []),
});

/**
 * Reads the identity file.
 *
 * @returns the settings, or each fault with its field
 */
export function readIdentityFile(
  path: string,
): { readonly settings: IdentitySettings } | { readonly faults: readonly string[] } {
  const content = readDocument(path);
  if ("faults" in content) return content;
  const read = identityFile.safeParse(content.document ?? {});
  if (!read.success) return { faults: documentFaults(read.error) };
  const { issuers, sign_in } = read.data;
  const faults = [
    ...repeats(issuers, "issuers", "name", (one) => one.name),
    ...repeats(issuers, "issuers", "issuer", (one) => one.issuer),
    ...repeats(sign_in, "sign_in", "name", (one) => one.name),
    ...repeats(sign_in, "sign_in", "issuer", (one) => one.issuer),
  ];
  const providers = sign_in.map((one, index): ProviderSettings => {
    const place = `sign_in[${index}]`;
    // What a session says of somebody who has a password.
    if (one.name === "password") faults.push(`${place}.name: must be another one than password`);
    return {
      name: one.name,
      label: one.label ?? one.name,
      issuer: one.issuer,
      clientId: one.client_id,
      clientSecret: readSecretFile(resolve(dirname(path), one.client_secret_file), (fault) =>
        faults.push(`${place}.client_secret_file: ${fault}`),
      ),
    };
  });
  return faults.length > 0 ? { faults } : { settings: { issuers, providers } };
}

/** The secret stands alone in its file; the end of the line isn't part of it. */
function readSecretFile(path: string, refuse: (fault: string) => void): string {
  try {
    const secret = readFileSync(path, "utf8").trim();
    if (secret === "" || secret.length > MAX_SECRET_LENGTH || /\s/.test(secret))
      refuse("must hold one word, the secret");
    return secret;
  } catch (error) {
    refuse(`can't be read: ${(error as NodeJS.ErrnoException).code}`);
    return "";
  }
}

/** Whether what is fetched from there is what its owner sent: TLS, or the machine itself. */
export function isSafeUrl(value: string): boolean {
  const parsed = URL.parse(value);
  if (parsed === null || parsed.username !== "" || parsed.password !== "" || /[#\s]/.test(value)) return false;
  if (parsed.protocol === "https:") return true;
  return parsed.protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(parsed.hostname);
}
