/** `latchkey backup`: copies the database while the service runs. */
import { statSync } from "node:fs";
import { backUpDatabase } from "../app.ts";
import { command } from "./command.ts";
import { assertSound } from "./database-check.ts";
import { interruptible } from "./interruptible.ts";
import { showProgress } from "./progress.ts";
import { configFrom, DATABASE_OPTIONS, databaseFileOf, placeOfRootKey } from "./settings.ts";

export const backup = command({
  args: ["FILE"],
  options: { ...DATABASE_OPTIONS, force: { type: "boolean", help: "replace an older backup" } },
  notes:
    "Copies the database as it is now into FILE, while the service runs and writes. The copy is checked as\n" +
    "`latchkey check` does before it gets its name, and is for its owner only. The root key is not in it: keep a copy\n" +
    "of that somewhere else.",
  async run(values, positionals) {
    const { force, ...flags } = values;
    const [file = ""] = positionals;
    const config = configFrom(flags);
    const database = databaseFileOf(config, "back it up with pg_dump, or as your server's operators do");
    let revision: number | undefined;
    return interruptible(async (signal) => {
      await backUpDatabase({
        database,
        file,
        overwrite: force === true,
        onProgress: showProgress("copying"),
        signal,
        async approve(copy) {
          ({ revision } = await assertSound(copy, database, "it was not backed up"));
        },
      });
      console.error(`wrote ${file}: revision ${revision}, ${statSync(file).size} bytes, checked`);
      console.error(
        `It is of no use without the root key, which is not in it: ${placeOfRootKey(config)}. Keep a copy of`,
      );
      console.error("that too, and not beside the backup.");
      return 0;
    });
  },
});
