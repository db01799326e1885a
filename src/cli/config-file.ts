/** The configuration file of a person: what `config set` and `login` keep, for their eyes only. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { CommandError } from "./command-error.ts";
import { withLock } from "./file-lock.ts";
import type { Program } from "./program.ts";

/** What a person sets. */
export const SETTING_NAMES = ["token", "addr", "cacert", "cert", "key", "url"] as const;
export type SettingName = (typeof SETTING_NAMES)[number];

/** What `login` keeps. */
const SESSION_FIELDS = ["url", "email", "accessToken", "accessTokenExpiresAt", "refreshToken"] as const;

export type Session = Readonly<Record<(typeof SESSION_FIELDS)[number], string>>;

/** What the file can hold. */
export const FILE_NAMES = [...SETTING_NAMES, "session"] as const;
export type FileName = (typeof FILE_NAMES)[number];
export type Settings = Readonly<Partial<Record<SettingName, string>>> & { readonly session?: Session };

/** Rights of anybody but the owner. */
const OTHERS = 0o077;

/** Where the program's file is: below `XDG_CONFIG_HOME`, which must be an absolute path, or `~/.config`. */
export function configFileOf({ configPath }: Program): string {
  const folder = process.env["XDG_CONFIG_HOME"] ?? "";
  return join(isAbsolute(folder) ? folder : join(homedir(), ".config"), configPath);
}

/**
 * What is in the file; nothing when there is none.
 *
 * @throws CommandError for a file that others can read or write, and for one that isn't such a configuration
 */
export async function readConfigFile(path: string): Promise<Settings> {
  let text: string;
  try {
    await using file = await open(path);
    const { mode } = await file.stat();
    if ((mode & OTHERS) !== 0 && process.platform !== "win32") {
      throw new CommandError(
        `${path} is open to others (mode 0${(mode & 0o777).toString(8)}), and it holds a credential: ` +
          "make it yours alone with `chmod 600`, and replace the credential if somebody may have read it",
      );
    }
    text = await file.readFile("utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    if (code === undefined) throw error;
    throw new CommandError(`${path} can't be read: ${code}`);
  }
  return parseSettings(path, text);
}

/** The text isn't quoted in faults, for there may be a credential in it. */
function parseSettings(path: string, text: string): Settings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CommandError(`${path} is not JSON`);
  }
  if (!isMap(json)) throw new CommandError(`${path} must hold a JSON object`);
  for (const [name, value] of Object.entries(json)) {
    if (!isOneOf(FILE_NAMES, name))
      throw new CommandError(`${path}: ${name} is not a setting; there are ${FILE_NAMES.join(", ")}`);
    if (name === "session") {
      const isWhole = isMap(value) && SESSION_FIELDS.every((field) => typeof value[field] === "string");
      if (!isWhole) throw new CommandError(`${path}: session is not what login wrote; remove it, and log in again`);
    } else if (typeof value !== "string" || value === "") {
      throw new CommandError(`${path}: ${name} must be a text`);
    }
  }
  return json;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isOneOf<Name extends string>(names: readonly Name[], name: string): name is Name {
  return (names as readonly string[]).includes(name);
}

/**
 * Changes the file as nobody else does meanwhile. It is replaced whole or not at all: a crash leaves the old one.
 *
 * @param change answers what is to be in it; the very same settings leave the file as it is
 * @throws CommandError as `readConfigFile`, and when it can't be written; and what `change` throws
 */
export async function changeConfigFile(
  path: string,
  change: (kept: Settings) => Settings | Promise<Settings>,
): Promise<Settings> {
  await writing(path, () => mkdir(dirname(path), { recursive: true, mode: 0o700 }));
  return withLock(path, async () => {
    const kept = await readConfigFile(path);
    const settings = await change(kept);
    if (settings !== kept) await writing(path, () => replaceFile(path, settings));
    return settings;
  });
}

async function replaceFile(path: string, settings: Settings): Promise<void> {
  const draft = `${path}.${process.pid}.new`;
  try {
    {
      await using file = await open(draft, "wx", 0o600);
      await file.writeFile(`${JSON.stringify(settings, null, 2)}\n`);
      await file.sync();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw error;
  }
}

async function writing(path: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new CommandError(`${path} can't be written: ${(error as NodeJS.ErrnoException).code}`);
  }
}
