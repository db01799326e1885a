/** `latchkey issue`: makes a token, and prints its secret alone so that it can be piped on. */
import { toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { IssueResponseSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";

export const issue: Command = {
  usage:
    "--name NAME [--org ID] [--type TYPE] [--permission NAME] [--scope SCOPE …] [--expires-at TIME] [--ip BLOCK …] [--user ID] [--idempotency-key KEY] [--json]",
  help: () => `The secret stands alone on the standard output, the rest on the standard error.\n${clientHelp}`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...CLIENT_OPTIONS,
      name: { type: "string" },
      org: { type: "string", default: "" },
      type: { type: "string", default: "" },
      permission: { type: "string", default: "" },
      scope: { type: "string", multiple: true, default: [] },
      ip: { type: "string", multiple: true, default: [] },
      "expires-at": { type: "string" },
      user: { type: "string", default: "" },
      "idempotency-key": { type: "string", default: "" },
      json: { type: "boolean" },
    });
    if (values.name === undefined) throw new UsageError("--name is required");
    const expiresAt = values["expires-at"] === undefined ? undefined : new Date(values["expires-at"]);
    if (Number.isNaN(expiresAt?.getTime()))
      throw new UsageError("--expires-at must be a time such as 2027-01-31T00:00:00Z");
    const request = {
      organizationId: values.org,
      name: values.name,
      type: values.type,
      permission: values.permission,
      scopes: values.scope,
      ipAllowlist: values.ip,
      userId: values.user,
      idempotencyKey: values["idempotency-key"],
      ...(expiresAt === undefined ? {} : { expiresAt: timestampFromDate(expiresAt) }),
    };
    const response = await callService(TokenService, values, (client) => client.issue(request));
    if (values.json === true) {
      console.log(JSON.stringify(toJson(IssueResponseSchema, response), null, 2));
    } else {
      console.error(`issued ${response.token?.id} (${response.token?.name}); its secret can't be shown again:`);
      console.log(response.secret);
    }
    return 0;
  },
};
