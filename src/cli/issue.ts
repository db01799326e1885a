/** `latchkey issue`: makes a token, and prints its secret alone so that it can be piped on. */
import { toJson } from "@bufbuild/protobuf";
import { IssueResponseSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { command } from "./command.ts";
import { parseMetadata } from "./metadata-option.ts";
import { CLIENT_OPTIONS, JSON_OPTION, KEY_OPTION } from "./service-call.ts";
import { parseTime } from "./time-option.ts";

export const issue = command({
  options: {
    ...CLIENT_OPTIONS,
    ...KEY_OPTION,
    ...JSON_OPTION,
    name: { type: "string", value: "NAME", required: true, help: "what the token is for" },
    org: {
      type: "string",
      value: "ORG",
      default: "",
      help: "the organization; needed with a service key of all of them",
    },
    type: { type: "string", value: "TYPE", default: "", help: "one of the types that the profile offers" },
    permission: {
      type: "string",
      value: "NAME",
      default: "",
      help: "what it may do, where the profile has permissions",
    },
    scope: {
      type: "string",
      value: "SCOPE",
      multiple: true,
      default: [],
      help: "what it may do, where the profile has scopes",
    },
    "expires-at": { type: "string", value: "TIME", help: "when it stops working, such as 2027-01-31T00:00:00Z" },
    ip: {
      type: "string",
      value: "BLOCK",
      multiple: true,
      default: [],
      help: "an address or CIDR block that it works from",
    },
    metadata: { type: "string", value: "KEY=VALUE", multiple: true, default: [], help: "a label" },
    user: { type: "string", value: "ID", default: "", help: "the person whose token it is" },
  },
  notes: "The secret stands alone on the standard output, the rest on the standard error.",
  async run(values, _, { call }) {
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
    const response = await call(TokenService, (client) => client.issue(request));
    if (values.json) {
      console.log(JSON.stringify(toJson(IssueResponseSchema, response), null, 2));
    } else {
      console.error(`issued ${response.token?.id} (${response.token?.name}); its secret can't be shown again:`);
      console.log(response.secret);
    }
    return 0;
  },
});
