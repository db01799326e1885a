/** What the file of services with client certificates may say, and every fault in one that says something else. */
import * as z from "zod/mini";
import { readDocument } from "../documents/document-file.ts";
import { SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";
import { SERVICE_SCOPES } from "../domain/scopes.ts";
import type { ServiceIdentity } from "../domain/service-identity.ts";
import { documentFaults, organization, repeats, settingName } from "./document-fields.ts";

/** A host as a certificate names it. A wildcard would be whoever gets a certificate for some host there. */
const DNS_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

const dnsName = z.pipe(
  z
    .string({ error: "must be a host name" })
    .check(z.regex(DNS_NAME, { error: "must be a whole host name, without a wildcard" })),
  z.transform((name: string) => name.toLowerCase()),
);

const uri = z.string({ error: "must be a URI" }).check(
  z.regex(/^[a-z][a-z0-9+.-]*:[\x21-\x7e]{1,2000}$/i, {
    error: "must be a URI, for example spiffe://example.org/gateway",
  }),
);

/** One alone may stand without a list around it. */
const namesOf = (one: z.ZodMiniType<string, string>) =>
  z._default(
    z.pipe(
      z.transform((value: unknown) => (typeof value === "string" ? [value] : value)),
      z.array(one, { error: "must be one name or a list of names" }),
    ),
    [],
  );

const scope = z.enum(SERVICE_SCOPES, { error: `must be among ${SERVICE_SCOPES.join(", ")}` });

const service = z.pipe(
  z.strictObject({
    name: settingName,
    dns: namesOf(dnsName),
    uri: namesOf(uri),
    // Nothing is meant by leaving it out: all organizations is much to get by mistake.
    organization: z.union(
      [
        z.pipe(
          z.literal("all"),
          z.transform(() => SYSTEM_ORGANIZATION_ID),
        ),
        organization,
      ],
      { error: "must be all, or an organization's id, org_…" },
    ),
    scopes: z
      .array(scope, { error: "must be a list of scopes" })
      .check(z.minLength(1, { error: "must hold at least one" })),
  }),
  z.transform(
    (read): ServiceIdentity => ({
      name: read.name,
      dnsNames: read.dns,
      uris: read.uri,
      organizationId: read.organization,
      scopes: read.scopes,
    }),
  ),
);

const document = z.strictObject({ services: z.array(service, { error: "must be a list" }) });

/**
 * Reads the file of services with client certificates.
 *
 * @returns the services, or each fault with its field
 */
export function readServiceIdentities(
  path: string,
): { readonly value: readonly ServiceIdentity[] } | { readonly faults: readonly string[] } {
  const content = readDocument(path);
  if ("faults" in content) return content;
  const read = document.safeParse(content.document ?? {});
  if (!read.success) return { faults: documentFaults(read.error) };
  const { services } = read.data;
  const faults = [
    ...repeats(services, "services", "name", (one) => one.name),
    ...services.flatMap(({ dnsNames, uris }, index) =>
      dnsNames.length + uris.length === 0 ? [`services[${index}]: needs dns or uri`] : [],
    ),
    ...sharedNames(services, "dns", ({ dnsNames }) => dnsNames),
    ...sharedNames(services, "uri", ({ uris }) => uris),
  ];
  return faults.length > 0 ? { faults } : { value: services };
}

/** A name that two services have is nobody's. */
function sharedNames(
  services: readonly ServiceIdentity[],
  field: string,
  of: (service: ServiceIdentity) => readonly string[],
): readonly string[] {
  const owners = new Map<string, number>();
  return services.flatMap((one, index) =>
    of(one).flatMap((name) => {
      const owner = owners.get(name);
      owners.set(name, owner ?? index);
      return owner === undefined ? [] : [`services[${index}].${field}: ${name} is services[${owner}]'s already`];
    }),
  );
}
