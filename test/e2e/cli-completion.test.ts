/** The shells' completion: bash is asked itself, of the others the script must name everything. */
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { allCommands } from "../helpers/all-commands.ts";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";

const commands = await allCommands();

describe("completion in bash", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let file: string;

  beforeAll(async () => {
    folder = await temporaryFolder();
    file = join(folder.path, "latchkey.bash");
    await writeFile(file, (await runProgram(["completion", "bash"])).stdout);
  });

  afterAll(() => folder[Symbol.asyncDispose]());

  /** What bash offers after each of these lines, whose last word is the one to complete. */
  function complete(...lines: readonly (readonly string[])[]): readonly (readonly string[])[] {
    const asks = lines.map((words) => {
      const line = ["latchkey", ...words].map((word) => `'${word}'`).join(" ");
      return `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _latchkey; echo "\${COMPREPLY[@]}"`;
    });
    const script = `set -eu; source '${file}'; complete -p latchkey >&2; ${asks.join("; ")}`;
    const output = execFileSync("bash", ["--norc", "-c", script], { encoding: "utf8", stdio: "pipe" });
    return output
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split(" ").filter((word) => word !== ""));
  }

  it("offers every command at the start, and every option of every command", () => {
    expect(complete([""])).toEqual([[...Object.keys(COMMANDS), "--help"]]);
    const offered = complete(...commands.map(({ path }) => [...path, "--"]));
    for (const [index, { command }] of commands.entries()) {
      expect(offered[index]).toEqual([...Object.keys(command.options).map((name) => `--${name}`), "--help"]);
    }
  });

  it("goes by what is begun, by the group, and by the option before", () => {
    const offered = complete(
      ["rev"],
      ["orgs", "set"],
      ["orgs", "create", "--pr"],
      ["members", "add", "org_x", "--email", "a@b.example", "--role", ""],
      ["members", "add", "--role", "o"],
      ["backup", ""],
      ["list", "--name-prefix", "--"],
      ["nonsense", "re"],
    );
    expect(offered).toEqual([
      ["revoke", "revoke-many"],
      ["set-plan", "set-profile"],
      ["--profile"],
      ["owner", "admin", "member"],
      ["owner"],
      // Nothing of ours, so that bash offers files.
      [],
      [],
      ["restore", "revoke", "revoke-many"].toSorted(
        (one, two) => Object.keys(COMMANDS).indexOf(one) - Object.keys(COMMANDS).indexOf(two),
      ),
    ]);
  });
});

describe.each(["zsh", "fish"])("completion in %s", (shell) => {
  it("names every command and option, and has no quote left open", async () => {
    const { code, stdout, stderr } = await runProgram(["completion", shell]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const { path, summary, command } of commands) {
      const at = ` ${path.join(" ")}`;
      expect(stdout).toContain(`'${at}'`);
      expect(stdout).toContain(summary.replaceAll("'", "'\\''"));
      const lines = stdout
        .split("\n")
        .filter((line) => line.includes(shell === "zsh" ? `    ('${at}') found=` : `"${at}"`));
      const text = lines.join("\n");
      for (const name of Object.keys(command.options))
        expect(text).toMatch(new RegExp(shell === "zsh" ? `'--${name}:` : `-l ${name}( |$)`, "m"));
    }
    // Outside quotes there is no quote: taken away, '…' and \' leave none.
    expect(
      stdout
        .replaceAll("\\'", "")
        .replaceAll(/"[^"'\n]*"/g, "")
        .replaceAll(/'[^']*'/g, ""),
    ).not.toContain("'");
  });
});

it("completion for a shell that isn't known is a misuse", async () => {
  expect(await runProgram(["completion", "tcsh"])).toMatchObject({ code: 2, stdout: "" });
});

it("completion for a product's own program is under its name", async () => {
  const { stdout } = await runProgram(["--program", "wp", "completion", "bash"]);
  expect(stdout).toContain("complete -o default -F _wp wp");
});
