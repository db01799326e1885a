/** Where the client commands call, and with what: flags go before variables, and those before the file. */
import { CLIENT_SETTINGS } from "../settings.ts";
import { configFileOf, readConfigFile, type Session, type SettingName } from "./config-file.ts";
import type { Program } from "./program.ts";

export type ClientFlags = Readonly<Partial<Record<SettingName, string | undefined>>>;

interface Found {
  /** Undefined when there is none. */
  readonly value: string | undefined;
  /** The flag, the variable or the file that it is from. */
  readonly from: string;
}

export interface ClientSettings extends Readonly<Record<SettingName, Found>> {
  /** Of the person who signed in; for commands that have no token. */
  readonly session: Session | undefined;
}

/** An empty variable is as good as none. */
function valueOf(variable: string): string | undefined {
  const value = process.env[variable];
  return value === "" ? undefined : value;
}

/** @throws CommandError for a file that can't be used */
export async function clientSettings(flags: ClientFlags, program: Program): Promise<ClientSettings> {
  const file = configFileOf(program);
  const kept = await readConfigFile(file);
  const variables = {
    token: program.tokenVariable,
    addr: CLIENT_SETTINGS.address.env,
    cacert: CLIENT_SETTINGS.cacert.env,
    cert: CLIENT_SETTINGS.cert.env,
    key: CLIENT_SETTINGS.key.env,
    url: CLIENT_SETTINGS.url.env,
  };
  const defaults: Readonly<Partial<Record<SettingName, string>>> = {
    addr: CLIENT_SETTINGS.address.default,
    url: CLIENT_SETTINGS.url.default,
  };
  const find = (name: SettingName): Found => {
    const variable = variables[name];
    const candidates: readonly Found[] = [
      { value: flags[name], from: `--${name}` },
      { value: valueOf(variable), from: variable },
      { value: kept[name], from: file },
    ];
    return candidates.find(({ value }) => value !== undefined) ?? { value: defaults[name], from: "default" };
  };
  return {
    token: find("token"),
    addr: find("addr"),
    cacert: find("cacert"),
    cert: find("cert"),
    key: find("key"),
    url: find("url"),
    session: kept.session,
  };
}
