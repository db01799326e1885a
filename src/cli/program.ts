/** Under which name the program runs, and what that changes: a product can have a command line of its own. */

import type { Profiles } from "../domain/profile.ts";
import { CLIENT_SETTINGS, SETTINGS } from "../settings.ts";

export interface Program {
  readonly name: string;
  /** The environment variable that holds the credential. */
  readonly tokenVariable: string;
  /** Where the configuration file lies, below the folder of all users' configurations. */
  readonly configPath: string;
}

const LATCHKEY: Program = {
  name: "latchkey",
  tokenVariable: CLIENT_SETTINGS.token.env,
  configPath: "latchkey/config.json",
};

/**
 * The program of a name: that of the profile whose `cli` section has it, and Latchkey's own for every other.
 *
 * @throws StartError for a fault in a profile
 */
export async function programNamed(name: string): Promise<Program> {
  if (name === LATCHKEY.name) return LATCHKEY;
  const { all } = await loadedProfiles();
  const { commandLine } = all.find((profile) => profile.commandLine?.program === name) ?? {};
  if (commandLine === undefined) return LATCHKEY;
  return { name, tokenVariable: commandLine.tokenVariable, configPath: commandLine.configPath };
}

/**
 * The profiles that this program knows: those that are built in, and those of the folder that the variable names.
 *
 * @throws StartError for a fault in a profile
 */
export async function loadedProfiles(): Promise<Profiles> {
  const { loadProfiles } = await import("../profiles/load-profiles.ts");
  const folder = process.env[SETTINGS.profilesDir.env];
  return loadProfiles(folder === "" ? undefined : folder);
}
