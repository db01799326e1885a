/** `latchkey check`: says whether a database is sound. */
import { readCheckpoints } from "./checkpoint-files.ts";
import { command, UsageError } from "./command.ts";
import { checkFile } from "./database-check.ts";
import { JSON_OPTION } from "./service-call.ts";
import { configFrom, DATABASE_OPTIONS, databaseFileOf } from "./settings.ts";
import { printTable } from "./table.ts";
import { verifierKey } from "./verifier-key.ts";

export const check = command({
  args: ["[FILE]"],
  options: {
    ...DATABASE_OPTIONS,
    ...JSON_OPTION,
    checkpoints: {
      type: "string",
      value: "PATH",
      multiple: true,
      default: [],
      help: "signed checkpoints, a file or a folder, that the audit log must agree with",
    },
    key: {
      type: "string",
      value: "KEY",
      help: "what `latchkey audit key` printed, for --checkpoints; without it the root key is asked",
    },
  },
  notes:
    "Checks a backup or, without FILE, the configured database, which may be in service. Changes nothing.\n\n" +
    "  schema      every table, index and trigger is as this Latchkey makes it\n" +
    "  pages       every page of the file and every index is consistent\n" +
    "  references  every row refers to rows that are there\n" +
    "  tokens      every token is as its last event left it\n" +
    "  audit       every chain of the audit log is whole and unedited; with --checkpoints its end isn't cut off\n" +
    "              either, and it isn't an old one put back\n\n" +
    "Exits with 1 when anything is wrong.",
  async run(values, positionals) {
    const { json, checkpoints: paths, key, ...flags } = values;
    if (key !== undefined && paths.length === 0) throw new UsageError("--key is for --checkpoints");
    const advice = "verify its audit log with `latchkey audit verify`";
    const [file = databaseFileOf(configFrom(flags), advice)] = positionals;
    const checkpoints = paths.length === 0 ? [] : await readCheckpoints(paths, await verifierKey(key, flags));
    const { revision, checks, faults } = await checkFile(file, file, checkpoints);
    const isSound = faults.length === 0;
    if (json) {
      console.log(JSON.stringify({ file, ok: isSound, revision, checks: checks.map(toJson) }, null, 2));
      return isSound ? 0 : 1;
    }
    printTable(
      ["CHECK", "RESULT", "FOUND"],
      checks.map((each) => [each.name, each.faults.length === 0 ? "ok" : "FAULT", each.found]),
    );
    for (const fault of faults) console.error(`latchkey: ${fault}`);
    return isSound ? 0 : 1;
  },
});

function toJson({ name, found, faults }: Awaited<ReturnType<typeof checkFile>>["checks"][number]): object {
  return { name, ok: faults.length === 0, found, faults };
}
