/** The `latchkey` program: finds the command, and turns every failure into a line and an exit code. */
import { StartError } from "../domain/start-error.ts";
import { CallError } from "./call-error.ts";
import { type Command, UsageError } from "./command.ts";

interface CommandEntry {
  /** One line for the overview. */
  readonly summary: string;
  /** A command's parts are loaded when it runs: a client command needs nothing of the service. */
  load(): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  serve: { summary: "run the service", load: async () => (await import("./serve.ts")).serve },
  bootstrap: {
    summary: "make the first organization, admin and service key of an empty deployment",
    load: async () => (await import("./bootstrap.ts")).bootstrap,
  },
  issue: { summary: "make a token; its secret is printed once", load: async () => (await import("./issue.ts")).issue },
  list: { summary: "list an organization's tokens", load: async () => (await import("./list.ts")).list },
  get: {
    summary: "show a token, and how often it was used lately",
    load: async () => (await import("./get.ts")).get,
  },
  update: {
    summary: "change a token, or switch it off and on",
    load: async () => (await import("./update.ts")).update,
  },
  rotate: {
    summary: "give a token a new secret; it is printed once",
    load: async () => (await import("./rotate.ts")).rotate,
  },
  revoke: { summary: "end a token for good, at once", load: async () => (await import("./revoke.ts")).revoke },
  "revoke-many": {
    summary: "end all tokens that match a filter, at once",
    load: async () => (await import("./revoke-many.ts")).revokeMany,
  },
  introspect: {
    summary: "ask whether a token is good and what it can do",
    load: async () => (await import("./introspect.ts")).introspect,
  },
  import: {
    summary: "bring in keys that another system made",
    load: async () => (await import("./import.ts")).importKeys,
  },
  orgs: {
    summary: "make organizations, and set their plan and profile",
    load: async () => (await import("./orgs.ts")).orgs,
  },
  members: {
    summary: "say who belongs to an organization, and what they may do",
    load: async () => (await import("./members.ts")).members,
  },
  purge: {
    summary: "delete tokens that ended long ago from the database",
    load: async () => (await import("./purge.ts")).purge,
  },
  audit: {
    summary: "show, export and verify the audit log",
    load: async () => (await import("./audit.ts")).audit,
  },
  backup: {
    summary: "copy the database while the service runs",
    load: async () => (await import("./backup.ts")).backup,
  },
  restore: {
    summary: "put a backup in the place of the database",
    load: async () => (await import("./restore.ts")).restore,
  },
  check: {
    summary: "say whether a database or a backup is sound",
    load: async () => (await import("./check.ts")).check,
  },
  migrate: {
    summary: "bring the database to the newest schema, or say what that would do",
    load: async () => (await import("./migrate.ts")).migrate,
  },
};

/** Exit codes: 0 done, 1 failed, 2 misused, 3 the token isn't good (`introspect`). */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const [name = "help", ...rest] = args;
  if (["help", "--help", "-h"].includes(name)) {
    console.log(overview());
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    console.error(`latchkey: no command ${name}; \`latchkey help\` lists them`);
    return 2;
  }
  const command = await entry.load();
  try {
    if (rest.includes("--help") || rest.includes("-h")) {
      console.log(`usage: latchkey ${name} ${command.usage}\n\n${command.help()}`);
      return 0;
    }
    return await command.run(rest);
  } catch (error) {
    if (error instanceof StartError || error instanceof CallError) {
      for (const line of error.message.split("\n")) console.error(`latchkey: ${line}`);
      return 1;
    }
    if (error instanceof UsageError) {
      console.error(`latchkey ${name}: ${error.message}\nusage: latchkey ${name} ${command.usage}`);
      return 2;
    }
    throw error;
  }
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return ["usage: latchkey <command> [options]", "", ...lines, "", "`latchkey <command> --help` says more."].join("\n");
}
