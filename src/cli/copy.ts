/** `latchkey copy`: moves the whole database to another one, of the other engine for example. */
import { moveDatabase } from "../app.ts";
import { nameOfDatabase } from "../config.ts";
import { command, UsageError } from "./command.ts";
import { showProgress } from "./progress.ts";
import { JSON_OPTION } from "./service-call.ts";
import { configFrom, DATABASE_OPTIONS } from "./settings.ts";
import { printTable } from "./table.ts";

export const copy = command({
  options: {
    ...DATABASE_OPTIONS,
    from: { type: "string", value: "URL", help: "the database to copy (the configured one)" },
    to: { type: "string", value: "URL", help: "the empty database to copy it to (the configured one)" },
    ...JSON_OPTION,
  },
  notes:
    "Copies everything: tokens, people, sessions, keys and the whole audit log, as they are. URLs are as in\n" +
    "LATCHKEY_DATABASE_URL, which stands for the one that isn't named; a password belongs in it or in PGPASSWORD.\n" +
    "Stop the services first. Then all rows of both sides are compared and every chain of the audit log is verified.\n\n" +
    "A copy that was interrupted goes on when it is run again, and isn't served before it has ended well. The root\n" +
    "key is not in the database: the new service needs the same one, and the same checkpoints.",
  async run(values) {
    const { from, to, json, ...flags } = values;
    if (from === undefined && to === undefined) throw new UsageError("--from or --to is required");
    const configOf = (url: unknown) => configFrom(url === undefined ? flags : { ...flags, "database-url": url });
    const [source, target] = [configOf(from), configOf(to)];
    console.error(`copying ${nameOfDatabase(source)} to ${nameOfDatabase(target)}`);
    const startedAtMs = performance.now();
    const done = await moveDatabase({
      from: source,
      to: target,
      onCopied: showProgress("copying"),
      onVerified: showProgress("verifying"),
    });
    const seconds = Number(((performance.now() - startedAtMs) / 1000).toFixed(1));
    if (json) {
      console.log(JSON.stringify({ ...done, seconds }, null, 2));
      return 0;
    }
    printTable(
      ["TABLE", "ROWS", "SHA-256"],
      done.tables.map(({ name, rows, digest }) => [name, String(rows), digest]),
    );
    const resumed = done.resumed === 0 ? "" : `, ${done.resumed} rows of it by an earlier attempt`;
    console.log(
      `copied and verified in ${seconds} s${resumed}: revision ${done.revision}, ${done.chains} chains of events`,
    );
    console.error(
      `Set LATCHKEY_DATABASE_URL to ${done.to}, keep the root key and the checkpoints, and start the service`,
    );
    return 0;
  },
});
