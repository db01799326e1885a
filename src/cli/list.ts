/** `latchkey list`: an organization's tokens, as a table or JSON Lines. */
import { toJson } from "@bufbuild/protobuf";
import { type Token, TokenSchema, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { command } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION } from "./service-call.ts";
import { formatState, formatTime, printTable } from "./table.ts";
import { parseTime } from "./time-option.ts";

const PAGE_SIZE = 500;

export const list = command({
  options: {
    ...CLIENT_OPTIONS,
    ...JSON_OPTION,
    org: {
      type: "string",
      value: "ORG",
      default: "",
      help: "the organization; needed with a service key of all of them",
    },
    all: { type: "boolean", help: "revoked and expired tokens too" },
    type: { type: "string", value: "TYPE", default: "", help: "tokens of this type only" },
    "name-prefix": { type: "string", value: "TEXT", default: "", help: "tokens whose name starts so, to the letter" },
    "created-by": { type: "string", value: "ID", default: "", help: "tokens that this caller issued" },
    "unused-since": {
      type: "string",
      value: "TIME",
      help: "tokens last used before that time, or issued before it and never used",
    },
  },
  notes: "--json prints one JSON object a line.",
  async run(values, _, { call }) {
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
    await call(TokenService, async (client) => {
      let pageToken = "";
      do {
        const page = await client.list({ ...request, pageToken });
        tokens.push(...page.tokens);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    });
    if (values.json) {
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
});
