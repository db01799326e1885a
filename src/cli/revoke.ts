/** `latchkey revoke`: ends a token for good. */
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { command } from "./command.ts";
import { CLIENT_OPTIONS, KEY_OPTION } from "./service-call.ts";

export const revoke = command({
  args: ["TOKEN_ID"],
  options: { ...CLIENT_OPTIONS, ...KEY_OPTION },
  notes: "TOKEN_ID is the public id (tok_…), not the secret.",
  async run(values, positionals, { call }) {
    const [id = ""] = positionals;
    await call(TokenService, (client) => client.revoke({ id, idempotencyKey: values["idempotency-key"] }));
    console.error(`revoked ${id}`);
    return 0;
  },
});
