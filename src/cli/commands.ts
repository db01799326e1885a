/** The table of all commands: what `help` lists, completion knows and the program runs. */
import type { CommandTable } from "./command.ts";

const TOKEN_COMMANDS: CommandTable = {
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
};

export const COMMANDS: CommandTable = {
  serve: { summary: "run the service", load: async () => (await import("./serve.ts")).serve },
  bootstrap: {
    summary: "make the first organization, admin and service key of an empty deployment",
    load: async () => (await import("./bootstrap.ts")).bootstrap,
  },
  tokens: {
    summary: "list, issue, rotate and revoke tokens; each of these works without `tokens` too",
    load: () => Promise.resolve({ members: TOKEN_COMMANDS, notes: "" }),
  },
  ...TOKEN_COMMANDS,
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
  login: {
    summary: "sign in with your address and your password",
    load: async () => (await import("./login.ts")).login,
  },
  logout: {
    summary: "end the session that you signed in to",
    load: async () => (await import("./logout.ts")).logout,
  },
  whoami: {
    summary: "say whose credential this is, and what it can do",
    load: async () => (await import("./whoami.ts")).whoami,
  },
  config: {
    summary: "keep your credential and the service's address in a file",
    load: async () => (await import("./config-command.ts")).config,
  },
  completion: {
    summary: "print what makes a shell complete the commands",
    load: async () => (await import("./completion.ts")).completion,
  },
  health: {
    summary: "say whether the service on this machine is ready, for health checks",
    load: async () => (await import("./health.ts")).health,
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
  copy: {
    summary: "move the whole database to another one, from SQLite to PostgreSQL for example",
    load: async () => (await import("./copy.ts")).copy,
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
