/** Which profiles a deployment's settings choose. */
import type { Config } from "../config.ts";
import type { Profile, Profiles } from "../domain/profile.ts";
import { StartError } from "../domain/start-error.ts";
import type { Products } from "../rpc/product.ts";

/** @throws StartError when a setting names a profile that no organization can have. */
export function chooseProducts({ defaultProfile, hostProfiles }: Config, profiles: Profiles): Products {
  const choose = (setting: string, id: string): Profile => {
    const chosen = profiles.offered.find((profile) => profile.id === id);
    if (chosen !== undefined) return chosen;
    const ids = profiles.offered.map((profile) => profile.id);
    throw new StartError(`${setting} must be one of ${ids.join(", ")}, not ${id}`);
  };
  return {
    profiles,
    fallback: choose("LATCHKEY_PROFILE", defaultProfile),
    byHost: new Map(Array.from(hostProfiles, ([host, id]) => [host, choose("LATCHKEY_HOST_PROFILES", id)])),
  };
}
