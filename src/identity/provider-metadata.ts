/** What an OpenID provider says of itself (OpenID Connect Discovery 1.0, section 4). */
import { fetchJson } from "./bounded-fetch.ts";
import { isSafeUrl } from "./identity-document.ts";

/**
 * The addresses that an issuer's metadata names under these fields.
 *
 * @throws Error when it can't be had, is another issuer's, or lacks one of them
 */
export async function discover<Field extends string>(
  issuer: string,
  fields: readonly Field[],
  signal: AbortSignal,
): Promise<Readonly<Record<Field, string>>> {
  const document = await fetchJson(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, signal);
  const metadata = (document ?? {}) as Readonly<Record<string, unknown>>;
  // Section 4.3: else one provider could speak for another.
  if (metadata["issuer"] !== issuer) throw new Error(`the metadata of ${issuer} is another issuer's`);
  return Object.fromEntries(
    fields.map((field) => {
      const value = metadata[field];
      if (typeof value !== "string" || !isSafeUrl(value)) {
        throw new Error(`the metadata of ${issuer} has no ${field} that is an https URL`);
      }
      return [field, value];
    }),
  ) as Record<Field, string>;
}
