/** Whose conventions a public call follows. */
import type { Caller } from "../domain/caller.ts";
import { type Profile, type Profiles, SERVICE_PROFILE_ID } from "../domain/profile.ts";
import type { IncomingCall } from "./call.ts";

export interface Products {
  readonly profiles: Profiles;
  /** Profiles by the host that a request is sent to, in lower case and without the port. */
  readonly byHost: ReadonlyMap<string, Profile>;
  readonly fallback: Profile;
}

/** Where the annotations put the public routes. A product may have them elsewhere. */
export const ANNOTATED_BASE_PATH = "/api/v1";

/** The base path that a request's path starts with, and the path as the annotations have it. */
export function locate(
  { profiles }: Products,
  path: string,
): { readonly basePath: string; readonly path: string } | undefined {
  const basePath = profiles.all.flatMap(({ basePaths }) => basePaths).find((one) => path.startsWith(`${one}/`));
  return basePath === undefined ? undefined : { basePath, path: ANNOTATED_BASE_PATH + path.slice(basePath.length) };
}

/**
 * The profile of the caller's organization; before the caller is known, that of whose token the
 * credential looks like, then of the host, then of a base path that the default profile doesn't have,
 * then the default.
 *
 * @param basePath where the route was found; undefined for none
 */
export function productOf(
  { profiles, byHost, fallback }: Products,
  caller: Caller,
  request: Pick<IncomingCall, "header">,
  basePath: string | undefined,
): Profile {
  if (caller.kind === "user" || caller.kind === "external") return profiles.get(caller.profile) ?? fallback;
  if (caller.kind === "token") return profiles.get(caller.token.profile) ?? fallback;
  const credential = request.header("x-api-key") ?? request.header("authorization")?.replace(/^bearer +/i, "") ?? "";
  const meant = profiles.ofPrefix(credential);
  if (meant !== undefined && meant.id !== SERVICE_PROFILE_ID) return meant;
  const host = byHost.get((request.header("host") ?? "").toLowerCase().replace(/:\d+$/, ""));
  if (host !== undefined) return host;
  if (basePath === undefined || fallback.basePaths.includes(basePath)) return fallback;
  return profiles.offered.find(({ basePaths }) => basePaths.includes(basePath)) ?? fallback;
}
