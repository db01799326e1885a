/** `latchkey audit`: shows, exports and verifies the audit log. */
import { toJson } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { AuditService, type Event, EventSchema, type ListEventsRequest } from "../../gen/latchkey/v1/audit_pb.ts";
import type { Config } from "../config.ts";
import type { Checkpoint } from "../domain/checkpoint.ts";
import { formatVerifierKey } from "../domain/signed-note.ts";
import { readCheckpoints } from "./checkpoint-files.ts";
import { type CommandGroup, type Context, subcommand, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION } from "./service-call.ts";
import { formatTime, printTable } from "./table.ts";
import { parseTime } from "./time-option.ts";

const PAGE_SIZE = 500;

/** What works without a service, and is much to load for those who ask one. */
async function offline() {
  const [app, settings, key, verify] = await Promise.all([
    import("../app.ts"),
    import("./settings.ts"),
    import("./verifier-key.ts"),
    import("./audit-verify.ts"),
  ]);
  return { ...app, ...settings, ...key, ...verify };
}

export const audit: CommandGroup = {
  members: {
    list: subcommand("show events, the oldest first", {
      args: ["[ORG]"],
      options: {
        ...CLIENT_OPTIONS,
        ...JSON_OPTION,
        action: { type: "string", value: "ACTION", multiple: true, default: [], help: "events of this action only" },
        actor: { type: "string", value: "ID", default: "", help: "events by this caller" },
        target: { type: "string", value: "ID", default: "", help: "events about this" },
        from: { type: "string", value: "TIME", help: "events from then on" },
        until: { type: "string", value: "TIME", help: "events before then" },
        limit: { type: "string", value: "COUNT", default: "1000", help: "how many at most" },
      },
      async run(values, positionals, { call }) {
        if (!/^[1-9]\d{0,8}$/.test(values.limit)) throw new UsageError("--limit must be a number, 1 or more");
        const [organizationId = ""] = positionals;
        const found: Event[] = [];
        const request = {
          organizationId,
          actions: values.action,
          actor: values.actor,
          target: values.target,
          ...timeOption("from", values.from),
          ...timeOption("until", values.until),
        };
        await eachEvent(call, request, Number(values.limit), (event) => found.push(event));
        if (values.json) {
          for (const event of found) console.log(eventLine(event));
        } else {
          printTable(
            ["REVISION", "TIME", "ACTION", "ACTOR", "ADDRESS", "TARGET", "NAME"],
            found.map(({ revision, time, action, actor, address, target, targetName }) => [
              String(revision),
              formatTime(time),
              action,
              actor?.id ?? "",
              address,
              target,
              targetName,
            ]),
          );
        }
        return 0;
      },
    }),
    export: subcommand("print whole chains as JSON Lines, to be kept and verified elsewhere", {
      args: ["[ORG]"],
      options: CLIENT_OPTIONS,
      async run(_, positionals, { call }) {
        const [organizationId = ""] = positionals;
        await eachEvent(call, { organizationId }, Number.POSITIVE_INFINITY, (event) => console.log(eventLine(event)));
        return 0;
      },
    }),
    verify: subcommand("recompute every hash of an export or a database file; needs no service", {
      args: ["[FILE|-]"],
      options: {
        "data-dir": { type: "string", value: "DIRECTORY", help: "the service's data directory (LATCHKEY_DATA_DIR)" },
        checkpoints: {
          type: "string",
          value: "PATH",
          multiple: true,
          default: [],
          help: "signed checkpoints, a file or a folder, that the log must agree with",
        },
        key: {
          type: "string",
          value: "KEY",
          help: "what `latchkey audit key` printed, for --checkpoints; without it the root key is asked",
        },
      },
      async run(values, positionals) {
        const { configFrom, verifierKey, verifyAuditLog } = await offline();
        const { checkpoints: paths, key, ...flags } = values;
        if (key !== undefined && paths.length === 0) throw new UsageError("--key is for --checkpoints");
        const from = positionals[0] ?? configured(configFrom(flags));
        const checkpoints = paths.length === 0 ? [] : await readCheckpoints(paths, await verifierKey(key, flags));
        const { count, heads, fault, difference } = await verifyAuditLog(from, checkpoints);
        for (const { organizationId, sequence, hash } of heads) {
          console.log(`${organizationId}  ${sequence}  ${Buffer.from(hash).toString("hex")}`);
        }
        if (fault !== undefined) {
          console.error(`latchkey: ${fault} (the ${count} events before it are good)`);
          return 1;
        }
        console.error(`${count} events in ${heads.length} chains: nothing was edited`);
        if (difference !== undefined) {
          console.error(`latchkey: ${difference}`);
          return 1;
        }
        if (paths.length > 0) console.error(coverage(checkpoints, count));
        return 0;
      },
    }),
    checkpoint: subcommand("print a signed checkpoint of the log as it is now, to be kept elsewhere", {
      options: { ...CLIENT_OPTIONS, ...JSON_OPTION },
      async run(values, _, { call }) {
        const { note, verifierKey: key } = await call(AuditService, (client) => client.getCheckpoint({}));
        process.stdout.write(values.json ? `${JSON.stringify({ note, verifierKey: key }, null, 2)}\n` : note);
        return 0;
      },
    }),
    key: subcommand("print the key that verifies checkpoints; needs the root key and no service", {
      options: {
        "data-dir": { type: "string", value: "DIRECTORY", help: "the service's data directory (LATCHKEY_DATA_DIR)" },
        "checkpoint-origin": {
          type: "string",
          value: "NAME",
          help: "name of the audit log (LATCHKEY_CHECKPOINT_ORIGIN)",
        },
      },
      async run(values) {
        const { configFrom, readCheckpointKey } = await offline();
        console.log(formatVerifierKey(await readCheckpointKey(configFrom(values))));
        return 0;
      },
    }),
  },
  notes:
    "ORG is a public id (org_…) or a UUID; without one a service key of all organizations gets all of them.\n" +
    "verify takes an export, a SQLite file (also of a running service), or - for the standard input; without\n" +
    "FILE it is the configured database. It prints each chain's last sequence and hash, which are worth keeping\n" +
    "elsewhere, and exits with 1 at the first fault. --checkpoints names a file or a folder of checkpoints, and may\n" +
    "be given several times; with them it also finds that the log's end was cut off, or an old copy put back. KEY is\n" +
    "what `latchkey audit key` printed; without it the key comes from the root key.",
};

/** A file is looked at before it is taken for a database. */
function configured(config: Config): string | Config {
  return config.postgres === undefined ? config.databasePath : config;
}

function coverage(checkpoints: readonly Checkpoint[], count: number): string {
  const last = checkpoints.reduce((one, two) => (two.size > one.size ? two : one));
  const rest = count - last.size;
  const after = rest === 0 ? "" : `; ${rest} after it are in no checkpoint yet`;
  return (
    `${checkpoints.length} checkpoints: nothing was rewritten or cut off up to event ${last.size} ` +
    `(${last.time.toISOString()})${after}`
  );
}

/** One event as it is exported: every field, also the empty ones. */
function eventLine(event: Event): string {
  return JSON.stringify(toJson(EventSchema, event, { alwaysEmitImplicit: true }));
}

type Filter = Pick<ListEventsRequest, "organizationId"> & Partial<Omit<ListEventsRequest, "$typeName" | "$unknown">>;

async function eachEvent(
  call: Context["call"],
  filter: Filter,
  limit: number,
  take: (event: Event) => void,
): Promise<void> {
  await call(AuditService, async (client) => {
    let pageToken = "";
    let left = limit;
    do {
      const page = await client.listEvents({ ...filter, pageSize: Math.min(PAGE_SIZE, left), pageToken });
      for (const event of page.events) take(event);
      left -= page.events.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && left > 0);
  });
}

function timeOption<Name extends string>(name: Name, text: string | undefined): { [Key in Name]?: Timestamp } {
  return text === undefined ? {} : ({ [name]: parseTime(name, text) } as { [Key in Name]: Timestamp });
}
