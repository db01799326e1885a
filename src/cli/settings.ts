/** The service's settings as command-line options. */
import type { ParseArgsOptionsConfig } from "node:util";
import { type Config, flagOf, loadConfig, SETTINGS, type Setting } from "../config.ts";

const flagged: readonly Setting[] = Object.values(SETTINGS).filter((setting: Setting) => setting.secret !== true);

export const SETTING_OPTIONS: ParseArgsOptionsConfig = Object.fromEntries(
  flagged.map((setting) => [flagOf(setting), { type: "string" as const }]),
);

/** Which database it is, for commands that work on its file. */
export const DATABASE_OPTIONS = {
  [flagOf(SETTINGS.dataDir)]: { type: "string" },
  [flagOf(SETTINGS.databaseUrl)]: { type: "string" },
} as const;

export const databaseHelp = `The database is that of the settings, as for \`serve\`: --data-dir
(${SETTINGS.dataDir.env}) and --database-url (${SETTINGS.databaseUrl.env}).`;

/** Where an operator finds the root key. */
export function placeOfRootKey({ rootKey, rootKeyFile }: Config): string {
  return rootKey === undefined ? rootKeyFile : SETTINGS.rootKey.env;
}

/** @throws StartError with a line for each fault */
export function configFrom(flags: Readonly<Record<string, unknown>>): Config {
  const texts = Object.entries(flags).map(([name, value]): [string, string] => [name, String(value)]);
  return loadConfig(process.env, Object.fromEntries(texts));
}

/** Every setting with its variable, its flag and its default. */
export function settingsHelp(): string {
  return (Object.values(SETTINGS) as readonly Setting[])
    .map((setting) => {
      const flag = setting.secret === true ? "" : `  --${flagOf(setting)}`;
      return `  ${setting.env}${flag}\n      ${setting.description}${setting.default === "" ? "" : ` (${setting.default})`}`;
    })
    .join("\n");
}
