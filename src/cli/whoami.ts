/** `latchkey whoami`: whose credential it is, and what it can do. */
import { toJson } from "@bufbuild/protobuf";
import { GetMeResponseSchema, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { GetSelfResponseSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { clientSettings } from "./client-settings.ts";
import { command } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { CLIENT_OPTIONS, JSON_OPTION } from "./service-call.ts";
import { formatState, formatTime, printFacts } from "./table.ts";

export const whoami = command({
  options: { ...CLIENT_OPTIONS, ...JSON_OPTION },
  notes:
    "Of an API token or a service key it shows the token, of an access token or a session of\n`login` the person who is signed in.",
  async run(values, _, { program, call }) {
    const { token: credential, session } = await clientSettings(values, program);
    const isSession = credential.value === undefined && session !== undefined;
    // A JSON Web Token has three parts, and is a person's.
    if (isSession || credential.value?.split(".").length === 3) {
      const response = await call(UserService, (client) => client.getMe({}));
      const { user } = response;
      if (values.json) console.log(JSON.stringify(toJson(GetMeResponseSchema, response), null, 2));
      else
        printFacts([
          ["user", user?.id ?? ""],
          ["email", user?.email ?? ""],
          ["name", user?.displayName ?? ""],
          ["signed in at", isSession ? session.url : ""],
        ]);
      return EXIT.done;
    }
    const response = await call(TokenService, (client) => client.getSelf({}));
    if (values.json) {
      console.log(JSON.stringify(toJson(GetSelfResponseSchema, response), null, 2));
    } else if (response.token !== undefined) {
      const { token } = response;
      printFacts([
        ["token", token.id],
        ["name", token.name],
        ["state", formatState(token.state)],
        ["organization", token.organizationId],
        ["user", token.userId],
        ["profile", token.profile],
        ["type", token.type],
        ["permission", token.permission],
        ["scopes", token.scopes.join(" ")],
        ["addresses", token.ipAllowlist.join(" ")],
        ["expires", formatTime(token.expiresAt) || "never"],
      ]);
    }
    return EXIT.done;
  },
});
