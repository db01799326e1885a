/** `latchkey config`: keeps a person's settings in a file that is theirs alone. */
import { CLIENT_SETTINGS } from "../config.ts";
import { type ClientFlags, type ClientSettings, clientSettings } from "./client-settings.ts";
import { type CommandGroup, subcommand, UsageError } from "./command.ts";
import {
  configFileOf,
  isSettingName,
  readConfigFile,
  SETTING_NAMES,
  type SettingName,
  writeConfigFile,
} from "./config-file.ts";
import { EXIT } from "./exit-codes.ts";
import { readSecret } from "./secret-input.ts";
import { JSON_OPTION } from "./service-call.ts";
import { printTable } from "./table.ts";

const NO_FLAGS: ClientFlags = {};

export const config: CommandGroup = {
  members: {
    set: subcommand("keep a credential and an address", {
      options: {
        token: {
          type: "string",
          value: "TOKEN",
          valueIsOptional: true,
          help: "the credential; without a value it is asked for, or read from the standard input",
        },
        addr: { type: "string", value: "HOST:PORT", help: "the service's gRPC address" },
      },
      notes:
        "A credential that is written on the command line is seen by the machine's other users, and kept by the shell.",
      async run(values, _, { program }) {
        if (values.addr === undefined && values.token === undefined) throw new UsageError("needs --token or --addr");
        if (values.addr === "") throw new UsageError("--addr must not be empty; `config unset addr` removes it");
        const token = values.token === "" ? await readSecret("Token") : values.token;
        if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new UsageError("a token is one word of ASCII");
        const path = configFileOf(program);
        const kept = await readConfigFile(path);
        await writeConfigFile(path, {
          ...kept,
          ...(token === undefined ? {} : { token }),
          ...(values.addr === undefined ? {} : { addr: values.addr }),
        });
        console.error(`wrote ${path}`);
        return EXIT.done;
      },
    }),
    get: subcommand("print one setting, of a credential a hint", {
      args: ["NAME"],
      options: {},
      notes: `NAME is one of ${SETTING_NAMES.join(", ")}. Exits with ${EXIT.notFound} when it isn't set.`,
      async run(_, positionals, { program }) {
        const name = settingName(positionals[0]);
        const value = shown(name, await clientSettings(NO_FLAGS, program));
        if (value === "") return EXIT.notFound;
        console.log(value);
        return EXIT.done;
      },
    }),
    list: subcommand("print all settings, and where each is from", {
      options: JSON_OPTION,
      notes: "Of a credential it prints a hint, never the whole.",
      async run({ json }, _, { program }) {
        const settings = await clientSettings(NO_FLAGS, program);
        const rows = SETTING_NAMES.map((name) => ({ name, value: shown(name, settings), from: settings[name].from }));
        const set = rows.filter(({ value }) => value !== "");
        if (json) for (const row of set) console.log(JSON.stringify(row));
        else
          printTable(
            ["NAME", "VALUE", "FROM"],
            set.map(({ name, value, from }) => [name, value, from]),
          );
        return EXIT.done;
      },
    }),
    unset: subcommand("remove settings from the file", {
      args: ["NAME", "[NAME …]"],
      options: {},
      notes: `NAME is one of ${SETTING_NAMES.join(", ")}.`,
      async run(_, positionals, { program }) {
        const names = positionals.map(settingName);
        const path = configFileOf(program);
        const kept = Object.entries(await readConfigFile(path));
        const left = kept.filter(([name]) => !names.some((unwanted) => unwanted === name));
        if (left.length === kept.length) return EXIT.done;
        await writeConfigFile(path, Object.fromEntries(left));
        console.error(`wrote ${path}`);
        return EXIT.done;
      },
    }),
  },
  notes:
    "The file is ~/.config/latchkey/config.json, or below XDG_CONFIG_HOME. Only its owner may have access to it.\n" +
    `Options of a command go before ${CLIENT_SETTINGS.token.env} and ${CLIENT_SETTINGS.address.env}, and those before the file.`,
};

function settingName(name = ""): SettingName {
  if (!isSettingName(name)) throw new UsageError(`NAME must be one of ${SETTING_NAMES.join(", ")}, not ${name}`);
  return name;
}

/** The setting's value, of a credential its prefix and its last four characters; empty when it isn't set. */
function shown(name: SettingName, settings: ClientSettings): string {
  const { value = "" } = settings[name];
  if (name !== "token" || value === "") return value;
  // Of a short one, four characters would be too much.
  const [, prefix = "", rest = ""] = /^((?:[a-z0-9]+_)*)(.*)$/.exec(value) ?? [];
  return `${prefix}…${rest.length < 20 ? "" : rest.slice(-4)}`;
}
