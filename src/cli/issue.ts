/** `latchkey issue`: makes a token, and prints its secret alone so that it can be piped on. */
import { toJson } from "@bufbuild/protobuf";
import { IssueResponseSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { parseMetadata } from "./metadata-option.ts";
import { CLIENT_OPTIONS, callService, clientHelp, KEY_OPTION } from "./service-call.ts";
import { parseTime } from "./time-option.ts";

export const issue: Command = {
  usage:
    "--name NAME [--org ID] [--type TYPE] [--permission NAME] [--scope SCOPE …] [--expires-at TIME] [--ip BLOCK …] [--metadata KEY=VALUE …] [--user ID] [--idempotency-key KEY] [--json]",
  help: () => `The secret stands alone on the standard output, the rest on the standard error.\n${clientHelp}`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...CLIENT_OPTIONS,
      ...KEY_OPTION,
      name: { type: "string" },
      org: { type: "string", default: "" },
      type: { type: "string", default: "" },
      permission: { type: "string", default: "" },
      scope: { type: "string", multiple: true, default: [] },
      ip: { type: "string", multiple: true, default: [] },
      metadata: { type: "string", multiple: true, default: [] },
      "expires-at": { type: "string" },
      user: { type: "string", default: "" },
      json: { type: "boolean" },
    });
    if (values.name === undefined) throw new UsageError("--name is required");
    const expiresAt = values["expires-at"];
    const request = {
      organizationId: values.org,
      name: values.name,
      type: values.type,
      permission: values.permission,
      scopes: values.scope,
      ipAllowlist: values.ip,
      metadata: parseMetadata(values.metadata),
      userId: values.user,
      idempotencyKey: values["idempotency-key"],
      ...(expiresAt === undefined ? {} : { expiresAt: parseTime("expires-at", expiresAt) }),
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
