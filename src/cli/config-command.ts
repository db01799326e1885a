/** `latchkey config`: keeps a person's settings in a file that is theirs alone. */
import { resolve } from "node:path";
import { CLIENT_SETTINGS } from "../settings.ts";
import { type ClientFlags, type ClientSettings, clientSettings } from "./client-settings.ts";
import { type CommandGroup, subcommand, UsageError } from "./command.ts";
import { changeConfigFile, configFileOf, FILE_NAMES, type FileName, isOneOf } from "./config-file.ts";
import { EXIT } from "./exit-codes.ts";
import type { Program } from "./program.ts";
import { readToken } from "./secret-input.ts";
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
        cacert: {
          type: "string",
          value: "FILE",
          help: "the authorities whose server certificates are trusted, over TLS",
        },
        cert: { type: "string", value: "FILE", help: "a client certificate" },
        key: { type: "string", value: "FILE", help: "its private key; the file stays where it is" },
        url: { type: "string", value: "URL", help: "the service's public URL, where `login` signs in" },
      },
      notes:
        "A credential that is written on the command line is seen by the machine's other users, and kept by the shell.",
      async run(values, _, { program }) {
        const { addr, url } = values;
        const files = { cacert: values.cacert, cert: values.cert, key: values.key };
        const paths = Object.entries(files).flatMap(([name, path]) => (path === undefined ? [] : [{ name, path }]));
        if (values.token === undefined && addr === undefined && url === undefined && paths.length === 0) {
          throw new UsageError("needs --token, --addr, --cacert, --cert, --key or --url");
        }
        for (const { name, path } of paths) {
          if (path === "") throw new UsageError(`--${name} must not be empty; \`config unset ${name}\` removes it`);
        }
        if (addr === "") throw new UsageError("--addr must not be empty; `config unset addr` removes it");
        if (url !== undefined && !URL.canParse(url)) throw new UsageError("--url must be a URL");
        const token = values.token === "" ? await readToken() : values.token;
        if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new UsageError("a token is one word of ASCII");
        const path = configFileOf(program);
        const settings = [
          ...Object.entries({ token, addr, url }).filter(([, value]) => value !== undefined),
          // Commands run in other folders too.
          ...paths.map((file) => [file.name, resolve(file.path)] as const),
        ];
        await changeConfigFile(path, (kept) => ({ ...kept, ...Object.fromEntries(settings) }));
        console.error(`wrote ${path}`);
        return EXIT.done;
      },
    }),
    get: subcommand("print one setting, of a credential a hint", {
      args: ["NAME"],
      options: {},
      notes: `NAME is one of ${FILE_NAMES.join(", ")}. Exits with ${EXIT.notFound} when it isn't set.`,
      async run(_, positionals, { program }) {
        const name = nameIn(positionals[0]);
        const { value } = shown(name, await clientSettings(NO_FLAGS, program), program);
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
        const rows = FILE_NAMES.map((name) => ({ name, ...shown(name, settings, program) }));
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
      notes: `NAME is one of ${FILE_NAMES.join(", ")}.`,
      async run(_, positionals, { program }) {
        const names: readonly string[] = positionals.map(nameIn);
        const path = configFileOf(program);
        let isChanged = false;
        await changeConfigFile(path, (kept) => {
          const left = Object.entries(kept).filter(([name]) => !names.includes(name));
          isChanged = left.length < Object.keys(kept).length;
          return isChanged ? Object.fromEntries(left) : kept;
        });
        if (isChanged) console.error(`wrote ${path}`);
        return EXIT.done;
      },
    }),
  },
  notes:
    "The file is ~/.config/latchkey/config.json, or below XDG_CONFIG_HOME. Only its owner may have access to it.\n" +
    `Options of a command go before ${CLIENT_SETTINGS.token.env} and ${CLIENT_SETTINGS.address.env}, and those before the file.`,
};

function nameIn(name = ""): FileName {
  if (!isOneOf(FILE_NAMES, name)) throw new UsageError(`NAME must be one of ${FILE_NAMES.join(", ")}, not ${name}`);
  return name;
}

/** A setting as it can be seen: of a session whose it is, of a credential a hint; empty when it isn't set. */
function shown(
  name: FileName,
  settings: ClientSettings,
  program: Program,
): { readonly value: string; readonly from: string } {
  if (name === "session") return { value: settings.session?.email ?? "", from: configFileOf(program) };
  const { value = "", from } = settings[name];
  return { value: name === "token" && value !== "" ? hintOf(value) : value, from };
}

/** A credential's prefix and its last four characters. */
function hintOf(value: string): string {
  // Of a short one, four characters would be too much.
  const [, prefix = "", rest = ""] = /^((?:[a-z0-9]+_)*)(.*)$/.exec(value) ?? [];
  return `${prefix}…${rest.length < 20 ? "" : rest.slice(-4)}`;
}
