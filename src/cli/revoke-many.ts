/** `latchkey revoke-many`: ends all tokens that match a filter, after it said how many they are. */
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { command, UsageError } from "./command.ts";
import { confirm, isInteractive } from "./confirm.ts";
import { parseMoment } from "./moment.ts";
import { CLIENT_OPTIONS, KEY_OPTION } from "./service-call.ts";
import { tokenCount } from "./table.ts";

/** As long as the service may take at most, for there may be very many. */
const TIMEOUT_MS = 30_000;

export const revokeMany = command({
  options: {
    ...CLIENT_OPTIONS,
    ...KEY_OPTION,
    org: {
      type: "string",
      value: "ORG",
      default: "",
      help: "the organization; needed with a service key of all of them",
    },
    user: { type: "string", value: "USER", default: "", help: "this person's tokens" },
    type: { type: "string", value: "TYPE", default: "", help: "tokens of this type only" },
    "name-prefix": { type: "string", value: "TEXT", default: "", help: "tokens whose name starts so, to the letter" },
    "created-by": { type: "string", value: "ID", default: "", help: "tokens that this caller issued" },
    "unused-since": { type: "string", value: "90d|DATE", help: "tokens that nobody used for so long, or since then" },
    all: { type: "boolean", default: false, help: "mean every token" },
    "dry-run": { type: "boolean", default: false, help: "only count them" },
    yes: { type: "boolean", default: false, help: "don't ask" },
  },
  notes:
    "Ends the tokens that match all that is given, in one step; --all is needed to mean every token. It counts\n" +
    "them and asks first. Where nobody can be asked, --yes or --dry-run is needed. The count stands alone on the\n" +
    "standard output, the rest on the standard error.",
  async run(values, _, { call }) {
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
    const revoke = (more: { readonly dryRun?: boolean; readonly idempotencyKey?: string }) =>
      call(TokenService, (client) => client.revokeMany({ ...request, ...more }, { timeoutMs: TIMEOUT_MS }));
    if (dryRun || !yes) {
      const { count } = await revoke({ dryRun: true });
      if (dryRun) return report("would revoke", count);
      if (count === 0) return report("revoked", count);
      if (!(await confirm(`Revoke ${tokenCount(count)}? It can't be undone.`))) {
        console.error("revoked nothing");
        return 1;
      }
    }
    const { count } = await revoke({ idempotencyKey: values["idempotency-key"] });
    return report("revoked", count);
  },
});

function report(done: string, count: number): number {
  console.error(`${done} ${tokenCount(count)}`);
  console.log(String(count));
  return 0;
}
