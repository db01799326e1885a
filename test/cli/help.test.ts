/** The help is complete: every command and every option says what it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Command, parse, UsageError } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { EXIT, exitCodesHelp } from "../../src/cli/exit-codes.ts";
import { helpOf, overview } from "../../src/cli/help.ts";
import type { Program } from "../../src/cli/program.ts";
import { allCommands } from "../helpers/all-commands.ts";

const LATCHKEY: Program = { name: "latchkey", tokenVariable: "LATCHKEY_TOKEN", configPath: "latchkey/config.json" };
const WP: Program = { name: "wp", tokenVariable: "WATCHPLANE_TOKEN", configPath: "watchplane/config.json" };
const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

const commands = await allCommands();

describe("the help", () => {
  it("lists every command with its summary, and so does the README", () => {
    const text = overview(COMMANDS, LATCHKEY);
    for (const [name, { summary }] of Object.entries(COMMANDS)) {
      expect(text).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
      expect(text).toContain(summary);
      expect(README).toMatch(new RegExp(`^\\| \`${name}[ \`]`, "m"));
    }
  });

  it.each(commands.map((each) => [each.path.join(" "), each] as const))(
    "says of %s its use, what it does and each option",
    (_, each) => {
      const { path, summary, command } = each;
      const text = helpOf(command, summary, LATCHKEY, path);
      const [usage = "", , description = ""] = text.split("\n");
      expect(usage).toMatch(new RegExp(`^usage: latchkey ${path.join(" ")}( |$)`));
      for (const argument of command.args) expect(usage).toContain(argument);
      expect(description.toLowerCase()).toBe(`${summary}.`.toLowerCase());
      expect(summary).toMatch(/\w.{10,}[^.]$/);
      for (const [name, { help, type, value, required }] of Object.entries(command.options)) {
        expect(help).toMatch(/\w{3}/);
        expect(text).toMatch(new RegExp(`^  --${name}( .*)?$`, "m"));
        expect(text).toContain(help);
        // What takes a value says which, but for the service's settings, which say it in words.
        if (type === "string" && !help.includes("(LATCHKEY_")) expect(value).toMatch(/^[\w:=|]+$/);
        if (required) expect(usage).toContain(`--${name}`);
      }
    },
  );

  it("speaks of a product's program in the product's words", () => {
    for (const { path, summary, command } of commands) {
      const text = helpOf(command, summary, WP, path);
      expect(text).not.toMatch(/LATCHKEY_TOKEN\b|`latchkey |latchkey\/config/);
    }
    const { path, summary, command } = commands.find((each) => each.path.join(" ") === "whoami")!;
    expect(helpOf(command, summary, WP, path)).toMatch(/^usage: wp whoami \[options\]\n[^]*WATCHPLANE_TOKEN/);
  });

  it("lists the exit codes, and so does the README", () => {
    for (const code of Object.values(EXIT)) {
      expect(exitCodesHelp()).toMatch(new RegExp(`^  ${code}  \\S`, "m"));
      expect(README).toMatch(new RegExp(`^\\| ${code} \\| \\S`, "m"));
    }
    expect(new Set(Object.values(EXIT)).size).toBe(Object.keys(EXIT).length);
  });
});

describe("parsing", () => {
  const command = {
    args: ["ONE", "[TWO]"],
    notes: "",
    options: {
      token: { type: "string", valueIsOptional: true, help: "" },
      color: { type: "string", choices: ["red", "blue"], help: "" },
      must: { type: "string", required: true, help: "" },
    },
    run: () => Promise.resolve(0),
  } as const satisfies Command;

  it("takes an option without its value only where that is allowed", () => {
    const values = (...given: string[]) => ({ ...parse(command, ["1", "--must", "x", ...given]).values });
    expect(values("--token")).toEqual({ must: "x", token: "" });
    expect(values("--token", "--color", "red")).toEqual({ must: "x", token: "", color: "red" });
    expect(values("--token", "t")).toEqual({ must: "x", token: "t" });
    expect(() => values("--color")).toThrow(UsageError);
  });

  it.each([
    [["1"], "--must is required"],
    [["1", "--must", "x", "--color", "green"], "--color must be one of red, blue, not green"],
    [["--must", "x"], "needs 1 to 2 arguments, not 0"],
    [["1", "2", "3", "--must", "x"], "needs 1 to 2 arguments, not 3"],
    [["1", "--nope"], "--nope"],
  ])("refuses %o", (given, message) => {
    expect(() => parse(command, given)).toThrow(message);
  });
});
