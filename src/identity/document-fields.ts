/** Fields that files about identities share, and how the faults in such a file are named. */
import * as z from "zod/mini";
import { fromPublicId, type Id, SYSTEM_ORGANIZATION_ID } from "../domain/ids.ts";

export const patterned = (pattern: RegExp, reason: string): z.ZodMiniString =>
  z.string({ error: reason }).check(z.regex(pattern, { error: reason }));

/** A name that an operator gives something in the file. */
export const settingName = patterned(
  /^[a-z][a-z0-9-]{0,31}$/,
  "must be up to 32 lower-case letters, digits and dashes, a letter first",
);

export const organization = z.pipe(
  z
    .string({ error: "must be an organization's id, org_…" })
    .check(z.refine((value) => organizationId(value) !== undefined, { error: "must be an organization's id, org_…" })),
  z.transform((value: string) => organizationId(value) ?? ""),
);

/** Each fault, behind the field that it is in. */
export function documentFaults(error: z.core.$ZodError): readonly string[] {
  return error.issues.flatMap(faultsOf);
}

/** A fault for each item whose value an item before it has. */
export function repeats<T>(all: readonly T[], list: string, field: string, of: (one: T) => string): readonly string[] {
  const values = all.map(of);
  return values.flatMap((value, index) =>
    values.indexOf(value) < index ? [`${list}[${index}].${field}: is another one's already`] : [],
  );
}

function faultsOf({ code, path, message, ...rest }: z.core.$ZodIssue): readonly string[] {
  const place = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const at = (inner: string): string => `${place}${inner}`.replace(/^\./, "");
  if (code === "unrecognized_keys" && "keys" in rest) {
    return (rest.keys as readonly string[]).map((key) => `${at(`.${key}`)}: is not a field here`);
  }
  const isMissing = code === "invalid_type" && rest.input === undefined && path.length > 0;
  const where = at("");
  return [where === "" ? "must be a map of settings" : `${where}: ${isMissing ? "is required" : message}`];
}

/** The service keys of the deployment are the system organization's; nobody from outside belongs there. */
function organizationId(value: string): Id | undefined {
  const id = fromPublicId("org", value);
  return id === SYSTEM_ORGANIZATION_ID ? undefined : id;
}
