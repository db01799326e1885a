/** `latchkey list`: an organization's tokens, as a table or JSON Lines. */
import { toJson } from "@bufbuild/protobuf";
import { type Token, TokenSchema, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";
import { formatState, formatTime, printTable } from "./table.ts";
import { parseTime } from "./time-option.ts";

const PAGE_SIZE = 500;

export const list: Command = {
  usage: "[--org ID] [--all] [--type TYPE] [--name-prefix TEXT] [--created-by ID] [--unused-since TIME] [--json]",
  help: () =>
    "--all shows revoked tokens too; --name-prefix compares exactly; --unused-since shows tokens that were last used\n" +
    "before that time, or issued before it and never used; --json prints one JSON object a line.\n" +
    clientHelp,
  async run(args) {
    const { values } = parseOptions(args, {
      ...CLIENT_OPTIONS,
      org: { type: "string", default: "" },
      all: { type: "boolean" },
      type: { type: "string", default: "" },
      "name-prefix": { type: "string", default: "" },
      "created-by": { type: "string", default: "" },
      "unused-since": { type: "string" },
      json: { type: "boolean" },
    });
    const every = [TokenState.ACTIVE, TokenState.DISABLED, TokenState.EXPIRED, TokenState.REVOKED];
    const unusedSince = values["unused-since"];
    const request = {
      organizationId: values.org,
      pageSize: PAGE_SIZE,
      states: values.all === true ? every : [],
      type: values.type,
      namePrefix: values["name-prefix"],
      createdBy: values["created-by"],
      ...(unusedSince === undefined ? {} : { unusedSince: parseTime("unused-since", unusedSince) }),
    };
    const tokens: Token[] = [];
    await callService(TokenService, values, async (client) => {
      let pageToken = "";
      do {
        const page = await client.list({ ...request, pageToken });
        tokens.push(...page.tokens);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    });
    if (values.json === true) {
      for (const token of tokens) console.log(JSON.stringify(toJson(TokenSchema, token)));
    } else {
      printTable(
        ["ID", "NAME", "STATE", "CREATED", "LAST USED"],
        tokens.map(({ id, name, state, createdAt, lastUsedAt }) => [
          id,
          name,
          formatState(state),
          formatTime(createdAt),
          formatTime(lastUsedAt) || "never",
        ]),
      );
    }
    return 0;
  },
};
