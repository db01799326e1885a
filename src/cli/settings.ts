/** The service's settings as command-line options. */
import { type Config, loadConfig } from "../config.ts";
import { StartError } from "../domain/start-error.ts";
import { fileVariableOf, flagOf, SETTINGS, type Setting } from "../settings.ts";
import type { Options } from "./command.ts";

const flagged: readonly Setting[] = Object.values(SETTINGS).filter((setting: Setting) => setting.secret !== true);

export const SETTING_OPTIONS: Options = Object.fromEntries(
  flagged.map((setting) => [flagOf(setting), optionOf(setting)]),
);

/** Which database it is, for commands that work on its file. */
export const DATABASE_OPTIONS = {
  [flagOf(SETTINGS.dataDir)]: optionOf(SETTINGS.dataDir),
  [flagOf(SETTINGS.databaseUrl)]: optionOf(SETTINGS.databaseUrl),
} satisfies Options;

export function optionOf({ env, description, default: value }: Setting) {
  return { type: "string" as const, help: `${description} (${[env, value].filter(Boolean).join(", ")})` };
}

/** Where an operator finds the root key. */
export function placeOfRootKey({ rootKey, rootKeyFile }: Config): string {
  return rootKey === undefined ? rootKeyFile : SETTINGS.rootKey.env;
}

/** @throws StartError where the database isn't a file, with what to do instead */
export function databaseFileOf({ databasePath, postgres }: Config, advice: string): string {
  if (postgres === undefined) return databasePath;
  throw new StartError(`The database is PostgreSQL, and this command is for SQLite files: ${advice}`);
}

/** @throws StartError with a line for each fault */
export function configFrom(flags: Readonly<Record<string, unknown>>): Config {
  const texts = Object.entries(flags).map(([name, value]): [string, string] => [name, String(value)]);
  return loadConfig(process.env, Object.fromEntries(texts));
}

/** The settings that have no flag. */
export function settingsHelp(): string {
  const secrets = (Object.values(SETTINGS) as readonly Setting[]).filter(({ secret }) => secret === true);
  return [
    "Each option is a variable too, which it goes before. Secrets are variables only, or lie in a file that the",
    "variable with _FILE at its end names:",
    "",
    ...secrets.map((secret) => `  ${secret.env}, ${fileVariableOf(secret)}\n      ${secret.description}`),
  ].join("\n");
}
