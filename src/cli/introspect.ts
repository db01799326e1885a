/** `latchkey introspect`: asks whether a token is good. */
import { text } from "node:stream/consumers";
import { toJson } from "@bufbuild/protobuf";
import { IntrospectionService, IntrospectResponseSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import { command, UsageError } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { CLIENT_OPTIONS } from "./service-call.ts";

export const introspect = command({
  args: ["TOKEN|-"],
  options: {
    ...CLIENT_OPTIONS,
    scope: { type: "string", value: "SCOPE", multiple: true, default: [], help: "a scope that the call needs" },
    ip: { type: "string", value: "ADDRESS", default: "", help: "the client's address" },
    cost: { type: "string", value: "UNITS", default: "1", help: "what the call takes of the rate limit" },
    "dry-run": { type: "boolean", default: false, help: "explain, spend nothing, and mark nothing as used" },
  },
  notes:
    "With - the token is read from the standard input, out of sight of a process list.\n" +
    `The answer is JSON. Exits with ${EXIT.tokenNotGood} when the token isn't good for the call.`,
  async run(values, positionals, { call }) {
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
    const response = await call(IntrospectionService, (client) => client.introspect(request));
    console.log(JSON.stringify(toJson(IntrospectResponseSchema, response), null, 2));
    return response.allowed === true ? 0 : EXIT.tokenNotGood;
  },
});
