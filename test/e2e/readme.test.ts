/** The README is true: its commands run, in order, against a fresh start, and print what it says. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CLIENT_SETTINGS, SETTINGS, type Setting } from "../../src/settings.ts";
import { ROOT, readBlocks, runBlocks } from "../helpers/documents.ts";
import { cleanEnv, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

/** What differs from run to run, made alike. */
function normalize(output: string): string {
  return (
    output
      .replace(/\b(tok|org|usr)_[0-9a-z]{26}\b/g, "$1_ID")
      .replace(/\bwp_[0-9a-f]{48}\b/g, "wp_SECRET")
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "TIME")
      // A use is written down up to five seconds later.
      .replace(/"lastUsedAt":(?:null|"TIME")/g, '"lastUsedAt":"TIME OR NULL"')
      .replace(/"revision": "\d+"/g, '"revision": "N"')
      .trim()
  );
}

describe("the README", () => {
  it("starts with the command that starts the service", async () => {
    const [first] = await readBlocks("README.md");
    expect(first).toEqual({ language: "sh", text: "npm ci && npm start\n" });
    const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    expect(scripts["start"]).toBe("bin/latchkey serve --dev");
  });

  it("shows commands that work when pasted in order, and what they print", async () => {
    await using folder = await temporaryFolder();
    await using service = await startServiceProcess(["--dev"], { LATCHKEY_DATA_DIR: folder.path });
    const blocks = (await readBlocks("README.md")).filter(({ text: body }) => !body.startsWith("npm ci"));
    const commands = blocks.filter(({ language }) => language === "sh");
    const adapt = (script: string): string =>
      script
        .replaceAll("./data/", `${folder.path}/`)
        .replaceAll("127.0.0.1:8080", service.ready.http)
        .replaceAll("127.0.0.1:50051", service.ready.grpc);
    const printed = await runBlocks(commands, adapt, cleanEnv({ LATCHKEY_ADDR: service.ready.grpc }));
    const outputs = printed.map(normalize);
    expect(outputs).toHaveLength(commands.length);

    let shown = 0;
    for (const [index, block] of blocks.entries()) {
      const next = blocks[index + 1];
      if (block.language !== "sh" || next === undefined || next.language === "sh") continue;
      expect(outputs[commands.indexOf(block)]).toBe(normalize(next.text));
      shown++;
    }
    expect(shown).toBeGreaterThanOrEqual(5);
  });

  it("lists every setting with its default", async () => {
    const readme = await readFile(join(ROOT, "README.md"), "utf8");
    const settings: readonly Setting[] = [...Object.values(SETTINGS), ...Object.values(CLIENT_SETTINGS)];
    for (const { env, default: value, description } of settings) {
      expect(readme).toContain(`| \`${env}\` | `);
      expect(readme).toContain(value);
      expect(readme).toContain(description);
    }
  });

  it("names no file or folder that isn't there", async () => {
    const readme = await readFile(join(ROOT, "README.md"), "utf8");
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = ""]) => path);
    const folders = [...readme.matchAll(/`((?:proto|gen|src|test|docs)\/[\w./-]*)`/g)].map(([, path = ""]) => path);
    expect(links.length + folders.length).toBeGreaterThan(10);
    const { existsSync } = await import("node:fs");
    expect([...links, ...folders].filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});
