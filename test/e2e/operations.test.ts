/** docs/operations.md is true: its commands run, in order, and print what it says. */
import { mkdir } from "node:fs/promises";
import { expect, it } from "vitest";
import { type Block, ROOT, readBlocks, runBlocks } from "../helpers/documents.ts";
import { freePort } from "../helpers/free-port.ts";
import { cleanEnv, temporaryFolder } from "../helpers/service-process.ts";

/** Stands in for systemd. */
const MACHINE = `
  systemctl() {
    if [ $1 = start ]; then
      latchkey serve >> "$LOG" & service=$!
    else
      kill $service && wait $service
    fi
  }
  trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
`;

/** A token that is there when the backup is made, and is revoked before it is restored. */
const withCredentials = (command: string): string =>
  `(export LATCHKEY_TOKEN=$(node -p 'require("/etc/latchkey/credentials.json").serviceKey'); ${command})`;
const organization = `$(node -p 'require("/etc/latchkey/credentials.json").organizationId')`;
const ISSUE = `SECRET=$( ${withCredentials(`latchkey issue --name leaked --org ${organization} 2> "$LOG.issued"`)} )\n`;
const REVOKE = `${withCredentials(`latchkey revoke $(grep -o 'tok_[0-9a-z]*' "$LOG.issued") 2> "$LOG.revoked"`)}\n`;
const INTROSPECT: Block = { language: "sh", text: `echo "$SECRET" | latchkey introspect - || true\n` };

/** What differs from run to run, made alike. */
const normalize = (output: string): string =>
  output.replaceAll(/\d+(?= pages| events|,)|(?<=version )\d+/g, "N").trim();

it("shows commands that work when pasted in order, and what they print", { timeout: 240_000 }, async () => {
  await using folder = await temporaryFolder();
  for (const name of ["etc", "secure", "backup"]) await mkdir(`${folder.path}/${name}`);
  const freeAddress = async () => `127.0.0.1:${await freePort()}`;
  const [grpc, http, ops, drill] = [await freeAddress(), await freeAddress(), await freeAddress(), await freeAddress()];
  const blocks = await readBlocks("docs/operations.md");
  const commands = blocks.filter(({ language }) => language === "sh");
  const adapt = (script: string): string =>
    `${MACHINE}${script}`
      // First, for the folder itself is below it.
      .replaceAll("/tmp/", `${folder.path}/`)
      .replace(/^latchkey backup \/backup\/latchkey\.db$/m, (command) => `${ISSUE}${command}`)
      .replace(/^systemctl stop latchkey\nlatchkey restore/m, (command) => `${REVOKE}${command}`)
      .replaceAll("/opt/latchkey", ROOT)
      .replaceAll("/var/lib/latchkey", `${folder.path}/data`)
      .replaceAll("/etc/latchkey", `${folder.path}/etc`)
      .replaceAll(/(?<=[ "])\/(secure|backup)\//g, `${folder.path}/$1/`)
      .replaceAll("127.0.0.1:19464", drill)
      .replaceAll("127.0.0.1:9464", ops);
  const env = cleanEnv({
    LOG: `${folder.path}/log`,
    LATCHKEY_GRPC_ADDR: grpc,
    LATCHKEY_HTTP_ADDR: http,
    LATCHKEY_OPS_ADDR: ops,
    LATCHKEY_ADDR: grpc,
  });
  const outputs = await runBlocks([...commands, INTROSPECT], adapt, env);
  expect(outputs).toHaveLength(commands.length + 1);

  let shown = 0;
  for (const [index, block] of blocks.entries()) {
    const next = blocks[index + 1];
    if (block.language !== "sh" || next === undefined || !["json", "text"].includes(next.language)) continue;
    expect(normalize(outputs[commands.indexOf(block)] ?? "")).toBe(normalize(next.text));
    shown++;
  }
  expect(shown).toBe(3);
  // The restore brought the token back, and the command after it ended it again.
  expect(JSON.parse(outputs.at(-1) ?? "")).toMatchObject({ active: false, reason: "REASON_REVOKED" });
});
