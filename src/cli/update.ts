/** `latchkey update`: changes what is named of a token. */
import { toJson } from "@bufbuild/protobuf";
import { TokenSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { command, UsageError } from "./command.ts";
import { parseMetadata } from "./metadata-option.ts";
import { CLIENT_OPTIONS, JSON_OPTION, KEY_OPTION } from "./service-call.ts";
import { parseTime } from "./time-option.ts";

/** What stands for no expiry. */
const NEVER = "never";

const FIELD_BY_OPTION = {
  name: "name",
  enable: "enabled",
  disable: "enabled",
  permission: "permission",
  scope: "scopes",
  ip: "ip_allowlist",
  "expires-at": "expires_at",
  metadata: "metadata",
} as const;

export const update = command({
  args: ["TOKEN_ID"],
  options: {
    ...CLIENT_OPTIONS,
    ...KEY_OPTION,
    ...JSON_OPTION,
    name: { type: "string", value: "NAME", help: "its new name" },
    enable: { type: "boolean", help: "switch it on again" },
    disable: { type: "boolean", help: "switch it off" },
    permission: { type: "string", value: "NAME", help: "what it may do" },
    scope: { type: "string", value: "SCOPE", multiple: true, help: "what it may do; '' for nothing" },
    ip: { type: "string", value: "BLOCK", multiple: true, help: "where it works from; '' for everywhere" },
    "expires-at": { type: "string", value: "TIME", help: "when it stops working, or never" },
    metadata: { type: "string", value: "KEY=VALUE", multiple: true, help: "its labels; '' for none" },
  },
  notes:
    "What isn't named stays; --scope, --ip and --metadata take the place of all that the token has.\n" +
    "TOKEN_ID is the public id (tok_…), not the secret.",
  async run(values, positionals, { call }) {
    const options = Object.keys(FIELD_BY_OPTION) as (keyof typeof FIELD_BY_OPTION)[];
    const paths = options.filter((option) => values[option] !== undefined).map((option) => FIELD_BY_OPTION[option]);
    if (paths.length === 0) throw new UsageError("needs an option that changes something");
    if (values.enable && values.disable) throw new UsageError("--enable and --disable exclude each other");
    const expiresAt = values["expires-at"] ?? NEVER;
    const request = {
      id: positionals[0] ?? "",
      name: values.name,
      enabled: values.enable === true,
      permission: values.permission,
      scopes: texts(values.scope),
      ipAllowlist: texts(values.ip),
      expiresAt: expiresAt === NEVER ? undefined : parseTime("expires-at", expiresAt),
      metadata: parseMetadata(values.metadata ?? []),
      updateMask: { paths },
      idempotencyKey: values["idempotency-key"],
    };
    const { token } = await call(TokenService, (client) => client.update(request));
    if (token !== undefined && values.json) console.log(JSON.stringify(toJson(TokenSchema, token), null, 2));
    else console.error(`updated ${token?.id} (${token?.name})`);
    return 0;
  },
});

function texts(given: readonly string[] = []): string[] {
  return given.filter((text) => text !== "");
}
