/** `latchkey introspect`: asks whether a token is good. */
import { text } from "node:stream/consumers";
import { toJson } from "@bufbuild/protobuf";
import { IntrospectionService, IntrospectResponseSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";

const NOT_ALLOWED_EXIT_CODE = 3;

export const introspect: Command = {
  usage: "TOKEN|- [--scope SCOPE …] [--ip ADDRESS] [--cost UNITS] [--dry-run]",
  help: () =>
    `With - the token is read from the standard input, out of sight of a process list.\nExits with 3 when the token isn't good for the call.\n${clientHelp}`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      {
        ...CLIENT_OPTIONS,
        scope: { type: "string", multiple: true, default: [] },
        ip: { type: "string", default: "" },
        cost: { type: "string", default: "1" },
        "dry-run": { type: "boolean", default: false },
      },
      1,
    );
    const [given = ""] = positionals;
    const token = given === "-" ? (await text(process.stdin)).trim() : given;
    if (!/^\d{1,7}$/.test(values.cost)) throw new UsageError("--cost must be a number of units");
    const request = {
      token,
      requiredScopes: values.scope,
      clientIp: values.ip,
      cost: Number(values.cost),
      dryRun: values["dry-run"],
    };
    const response = await callService(IntrospectionService, values, (client) => client.introspect(request));
    console.log(JSON.stringify(toJson(IntrospectResponseSchema, response), null, 2));
    return response.allowed === true ? 0 : NOT_ALLOWED_EXIT_CODE;
  },
};
