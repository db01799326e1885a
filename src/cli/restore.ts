/** `latchkey restore`: puts a backup in the place of the database. */
import { abandonCheckpoints, assertRootKeyOpens, findLoss, restoreDatabase } from "../app.ts";
import type { Config } from "../config.ts";
import { StartError } from "../domain/start-error.ts";
import { command } from "./command.ts";
import { assertSound } from "./database-check.ts";
import { interruptible } from "./interruptible.ts";
import { showProgress } from "./progress.ts";
import { configFrom, DATABASE_OPTIONS, databaseFileOf } from "./settings.ts";

export const restore = command({
  args: ["FILE"],
  options: {
    ...DATABASE_OPTIONS,
    force: { type: "boolean", help: "restore whatever is lost, or with another root key" },
  },
  notes:
    "Puts the backup FILE in the place of the configured database, which no service may have open, and keeps\n" +
    "that one beside it under another name. Nothing is changed unless `latchkey check` finds the backup sound.\n\n" +
    "What was changed after the backup is gone, revokes too: tokens that were revoked since then work again.\n" +
    "So --force is needed when there is anything to lose, or when the root key doesn't open the backup. The ids\n" +
    "of the tokens that work again are printed alone on the standard output: revoke them.",
  async run(values, positionals) {
    const { force, ...flags } = values;
    const [file = ""] = positionals;
    const config = configFrom(flags);
    const database = databaseFileOf(config, "restore it with pg_restore; see docs/operations.md");
    let revision: number | undefined;
    let revivedTokens: readonly string[] = [];
    let losesEvents = false;
    return interruptible(async (signal) => {
      const kept = await restoreDatabase({
        backup: file,
        database,
        at: new Date(),
        onProgress: showProgress("copying"),
        signal,
        async consent(copy, present) {
          ({ revision } = await assertSound(copy, file, "nothing was restored"));
          const objections = [await objectionToRootKey(config, copy)];
          if (present !== undefined) {
            const loss = describeLoss(present, copy, file);
            objections.push(loss.objection);
            ({ revivedTokens } = loss);
            losesEvents = loss.objection !== undefined;
          }
          object(objections, force === true);
        },
      });
      console.error(`restored ${database} from ${file}, which ends with revision ${revision}`);
      if (kept !== undefined) console.error(`The database that was there is ${kept}`);
      const abandoned = losesEvents ? await abandonCheckpoints(config, revision ?? 0) : 0;
      if (abandoned > 0) console.error(`Put aside ${count(abandoned, "checkpoint")} of what was lost`);
      if (revivedTokens.length > 0) console.error("These tokens were revoked after the backup, and work again:");
      for (const id of revivedTokens) console.log(id);
      return 0;
    });
  },
});

/** Says what speaks against the restore, and throws unless it is forced. */
function object(objections: readonly (string | undefined)[], isForced: boolean): void {
  const serious = objections.filter((objection) => objection !== undefined);
  if (serious.length === 0) return;
  if (!isForced)
    throw new StartError([...serious, "Nothing was restored. With --force it is restored all the same."].join("\n"));
  for (const objection of serious) console.error(`latchkey: ${objection}`);
}

async function objectionToRootKey(config: Config, copy: string): Promise<string | undefined> {
  try {
    await assertRootKeyOpens(config, copy);
    return undefined;
  } catch (error) {
    if (error instanceof StartError) return error.message;
    throw error;
  }
}

interface DescribedLoss {
  readonly objection: string | undefined;
  readonly revivedTokens: readonly string[];
}

function describeLoss(present: string, copy: string, file: string): DescribedLoss {
  try {
    const { events, revivedTokens } = findLoss(present, copy);
    if (events === 0) return { objection: undefined, revivedTokens };
    const changes = `${count(events, "change")} that ${file} doesn't hold, which would be lost`;
    const revived =
      revivedTokens.length === 0 ? "" : `, and ${count(revivedTokens.length, "revoked token")} would work again`;
    return { objection: `${present} holds ${changes}${revived}`, revivedTokens };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const unknown = `nobody can tell what it holds that ${file} doesn't hold, revokes for example`;
    return { objection: `${error.message}; ${unknown}`, revivedTokens: [] };
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
