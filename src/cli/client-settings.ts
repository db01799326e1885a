/** Where the client commands call, and with what: flags go before variables, and those before the file. */
import { CLIENT_SETTINGS } from "../config.ts";
import { configFileOf, readConfigFile, SETTING_NAMES, type SettingName } from "./config-file.ts";
import type { Program } from "./program.ts";

export interface ClientFlags {
  readonly addr?: string | undefined;
  readonly token?: string | undefined;
}

interface Found {
  /** Undefined when there is none. */
  readonly value: string | undefined;
  /** The flag, the variable or the file that it is from. */
  readonly from: string;
}

export type ClientSettings = Readonly<Record<SettingName, Found>>;

/** An empty variable is as good as none. */
function valueOf(variable: string): string | undefined {
  const value = process.env[variable];
  return value === "" ? undefined : value;
}

/** @throws CommandError for a file that can't be used */
export async function clientSettings(flags: ClientFlags, program: Program): Promise<ClientSettings> {
  const file = configFileOf(program);
  const kept = await readConfigFile(file);
  const variables = { token: program.tokenVariable, addr: CLIENT_SETTINGS.address.env };
  const find = (name: SettingName): Found => {
    const variable = variables[name];
    const candidates: readonly Found[] = [
      { value: flags[name], from: `--${name}` },
      { value: valueOf(variable), from: variable },
      { value: kept[name], from: file },
    ];
    return (
      candidates.find(({ value }) => value !== undefined) ?? {
        value: name === "addr" ? CLIENT_SETTINGS.address.default : undefined,
        from: "default",
      }
    );
  };
  return Object.fromEntries(SETTING_NAMES.map((name) => [name, find(name)])) as ClientSettings;
}
