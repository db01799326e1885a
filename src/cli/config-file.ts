/** The configuration file of a person: what `config set` keeps, for their eyes only. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { CommandError } from "./command-error.ts";
import type { Program } from "./program.ts";

/** What the file can hold. */
export const SETTING_NAMES = ["token", "addr"] as const;
export type SettingName = (typeof SETTING_NAMES)[number];
export type Settings = Readonly<Partial<Record<SettingName, string>>>;

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
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new CommandError(`${path} must hold a JSON object`);
  }
  for (const [name, value] of Object.entries(json)) {
    if (!isSettingName(name))
      throw new CommandError(`${path}: ${name} is not a setting; there are ${SETTING_NAMES.join(", ")}`);
    if (typeof value !== "string" || value === "") throw new CommandError(`${path}: ${name} must be a text`);
  }
  return json;
}

export function isSettingName(name: string): name is SettingName {
  return (SETTING_NAMES as readonly string[]).includes(name);
}

/**
 * Puts the settings in the place of the file, whole or not at all: a crash leaves the old one. Makes its folder.
 *
 * @throws CommandError when it can't be written
 */
export async function writeConfigFile(path: string, settings: Settings): Promise<void> {
  const draft = `${path}.${process.pid}.new`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    {
      await using file = await open(draft, "wx", 0o600);
      await file.writeFile(`${JSON.stringify(settings, null, 2)}\n`);
      await file.sync();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw new CommandError(`${path} can't be written: ${(error as NodeJS.ErrnoException).code}`);
  }
}
