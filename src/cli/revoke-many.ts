/** `latchkey revoke-many`: ends all tokens that match a filter, after it said how many they are. */
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { confirm, isInteractive } from "./confirm.ts";
import { parseMoment } from "./moment.ts";
import { CLIENT_OPTIONS, callService, clientHelp, KEY_OPTION } from "./service-call.ts";
import { tokenCount } from "./table.ts";

/** As long as the service may take at most, for there may be very many. */
const TIMEOUT_MS = 30_000;

export const revokeMany: Command = {
  usage:
    "--org ORG [--user USER] [--created-by ID] [--type TYPE] [--name-prefix TEXT] [--unused-since 90d|DATE] [--all] [--dry-run] [--yes] [--idempotency-key KEY]",
  help: () =>
    "Ends the tokens that match all that is given, in one step; --all is needed to mean every token. It counts\n" +
    "them and asks first; --yes doesn't ask, and --dry-run only counts. Where nobody can be asked, one of the two is\n" +
    `needed. The count stands alone on the standard output, the rest on the standard error.\n${clientHelp}`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...CLIENT_OPTIONS,
      ...KEY_OPTION,
      org: { type: "string", default: "" },
      user: { type: "string", default: "" },
      "created-by": { type: "string", default: "" },
      type: { type: "string", default: "" },
      "name-prefix": { type: "string", default: "" },
      "unused-since": { type: "string" },
      all: { type: "boolean", default: false },
      "dry-run": { type: "boolean", default: false },
      yes: { type: "boolean", default: false },
    });
    const { "unused-since": unusedSince, "dry-run": dryRun, yes } = values;
    if (!dryRun && !yes && !isInteractive()) throw new UsageError("needs --yes or --dry-run where nobody can be asked");
    const request = {
      organizationId: values.org,
      userId: values.user,
      createdBy: values["created-by"],
      type: values.type,
      namePrefix: values["name-prefix"],
      all: values.all,
      ...(unusedSince === undefined
        ? {}
        : { unusedSince: timestampFromDate(parseMoment("--unused-since", unusedSince, Date.now())) }),
    };
    const call = (more: { readonly dryRun?: boolean; readonly idempotencyKey?: string }) =>
      callService(TokenService, values, (client) =>
        client.revokeMany({ ...request, ...more }, { timeoutMs: TIMEOUT_MS }),
      );
    if (dryRun || !yes) {
      const { count } = await call({ dryRun: true });
      if (dryRun) return report("would revoke", count);
      if (count === 0) return report("revoked", count);
      if (!(await confirm(`Revoke ${tokenCount(count)}? It can't be undone.`))) {
        console.error("revoked nothing");
        return 1;
      }
    }
    const { count } = await call({ idempotencyKey: values["idempotency-key"] });
    return report("revoked", count);
  },
};

function report(done: string, count: number): number {
  console.error(`${done} ${tokenCount(count)}`);
  console.log(String(count));
  return 0;
}
