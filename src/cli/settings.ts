/** The service's settings as command-line options. */
import type { ParseArgsOptionsConfig } from "node:util";
import { type Config, flagOf, loadConfig, SETTINGS, type Setting } from "../config.ts";

const flagged: readonly Setting[] = Object.values(SETTINGS).filter((setting: Setting) => setting.secret !== true);

export const SETTING_OPTIONS: ParseArgsOptionsConfig = Object.fromEntries(
  flagged.map((setting) => [flagOf(setting), { type: "string" as const }]),
);

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
