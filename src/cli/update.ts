/** `latchkey update`: changes what is named of a token. */
import { toJson } from "@bufbuild/protobuf";
import { TokenSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { parseMetadata } from "./metadata-option.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";
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

export const update: Command = {
  usage:
    "TOKEN_ID [--name NAME] [--enable | --disable] [--permission NAME] [--scope SCOPE …] [--ip BLOCK …] [--expires-at TIME] [--metadata KEY=VALUE …] [--idempotency-key KEY] [--json]",
  help: () =>
    "TOKEN_ID is the public id (tok_…). What isn't named stays; --scope, --ip and --metadata take the place of all\n" +
    `that the token has. --scope '', --ip '' and --metadata '' leave none, --expires-at ${NEVER} ends the expiry.\n${clientHelp}`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      {
        ...CLIENT_OPTIONS,
        name: { type: "string" },
        enable: { type: "boolean" },
        disable: { type: "boolean" },
        permission: { type: "string" },
        scope: { type: "string", multiple: true },
        ip: { type: "string", multiple: true },
        "expires-at": { type: "string" },
        metadata: { type: "string", multiple: true },
        "idempotency-key": { type: "string", default: "" },
        json: { type: "boolean" },
      },
      1,
    );
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
    const { token } = await callService(TokenService, values, (client) => client.update(request));
    if (token !== undefined && values.json === true) console.log(JSON.stringify(toJson(TokenSchema, token), null, 2));
    else console.error(`updated ${token?.id} (${token?.name})`);
    return 0;
  },
};

function texts(given: readonly string[] = []): string[] {
  return given.filter((text) => text !== "");
}
