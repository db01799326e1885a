/** The profiles that ship with Latchkey. */
import { Profiles } from "../domain/profile.ts";
import { latchkey } from "./latchkey.ts";
import { plane } from "./plane.ts";
import { walwarden } from "./walwarden.ts";
import { watchmantower } from "./watchmantower.ts";
import { watchplane } from "./watchplane.ts";

export const builtInProfiles = new Profiles([watchplane, watchmantower, walwarden, plane, latchkey]);
