/** `latchkey revoke`: ends a token for good. */
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp, KEY_OPTION } from "./service-call.ts";

export const revoke: Command = {
  usage: "TOKEN_ID [--idempotency-key KEY]",
  help: () => `TOKEN_ID is the public id (tok_…), not the secret.\n${clientHelp}`,
  async run(args) {
    const { values, positionals } = parseOptions(args, { ...CLIENT_OPTIONS, ...KEY_OPTION }, 1);
    const [id = ""] = positionals;
    await callService(TokenService, values, (client) =>
      client.revoke({ id, idempotencyKey: values["idempotency-key"] }),
    );
    console.error(`revoked ${id}`);
    return 0;
  },
};
