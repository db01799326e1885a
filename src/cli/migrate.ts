/** `latchkey migrate`: brings the database to the newest schema. */
import { planUpgrade, upgradeDatabase } from "../app.ts";
import { command } from "./command.ts";
import { configFrom, DATABASE_OPTIONS } from "./settings.ts";

export const migrate = command({
  options: {
    ...DATABASE_OPTIONS,
    "dry-run": { type: "boolean", default: false, help: "say what there is to do, also beside a running service" },
  },
  notes:
    "Brings the database to this version's schema without starting the service, which would do it as well.\n" +
    "There is no way back but a backup.",
  async run(values) {
    const { "dry-run": isDryRun, ...flags } = values;
    const config = configFrom(flags);
    // Also before the real thing: it writes nothing, and so doesn't make a database where there is none.
    const plan = await planUpgrade(config);
    const { version, missing } = isDryRun ? plan : await upgradeDatabase(config);
    const newest = version + missing.length;
    if (missing.length === 0) {
      console.error(`schema ${version} is the newest`);
      return 0;
    }
    console.error(isDryRun ? `schema ${version} would become ${newest}:` : `schema ${version} has become ${newest}:`);
    for (const [index, { name }] of missing.entries()) console.log(`${version + index + 1}  ${name}`);
    return 0;
  },
});
