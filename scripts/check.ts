/**
 * Runs every `check:*` script of package.json, and prints one line for each and the output of those that fail.
 *
 * The last line counts them, for .ci/run. Exits with 1 when anything failed.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

interface Outcome {
  readonly passed: boolean;
  readonly output: string;
}

/** Never rejects: a script that can't be started has failed. */
function run(script: string): Promise<Outcome> {
  return new Promise((resolve) => {
    // `node --run` also puts node_modules/.bin first on PATH.
    const child = spawn(process.execPath, ["--run", script], { stdio: ["ignore", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (error) => {
      resolve({ passed: false, output: error.message });
    });
    child.on("close", (code) => {
      resolve({ passed: code === 0, output: Buffer.concat(chunks).toString().trimEnd() });
    });
  });
}

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
const waiting = Object.keys(scripts).filter((name) => name.startsWith("check:"));
const total = waiting.length;
const failed: string[] = [];

async function work(): Promise<void> {
  for (let script = waiting.shift(); script !== undefined; script = waiting.shift()) {
    const startedAt = performance.now();
    const { passed, output } = await run(script);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`${passed ? "ok    " : "FAILED"} ${script.padEnd(24)} ${seconds} s`);
    if (!passed) {
      failed.push(script);
      console.log(output.replace(/^/gm, "    "));
    }
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, work));

const names = failed.length > 0 ? `: ${failed.join(", ")}` : "";
console.log(`checks: ${total - failed.length} passed, ${failed.length} failed${names}`);
process.exitCode = failed.length > 0 || total === 0 ? 1 : 0;
