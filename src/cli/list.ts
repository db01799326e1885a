/** `latchkey list`: an organization's tokens, as a table or JSON Lines. */
import { toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { type Token, TokenSchema, TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";

const PAGE_SIZE = 500;

const STATE_NAMES = new Map<TokenState, string>(
  Object.entries(TokenState).map(([name, state]) => [state, name.toLowerCase()]),
);

export const list: Command = {
  usage: "[--org ID] [--all] [--json]",
  help: () => `--all shows revoked tokens too; --json prints one JSON object a line.\n${clientHelp}`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...CLIENT_OPTIONS,
      org: { type: "string", default: "" },
      all: { type: "boolean" },
      json: { type: "boolean" },
    });
    const every = [TokenState.ACTIVE, TokenState.DISABLED, TokenState.EXPIRED, TokenState.REVOKED];
    const states = values.all === true ? every : [];
    const tokens: Token[] = [];
    await callService(TokenService, values, async (client) => {
      let pageToken = "";
      do {
        const page = await client.list({ organizationId: values.org, pageSize: PAGE_SIZE, pageToken, states });
        tokens.push(...page.tokens);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    });
    if (values.json === true) {
      for (const token of tokens) console.log(JSON.stringify(toJson(TokenSchema, token)));
    } else {
      for (const line of table(tokens)) console.log(line);
    }
    return 0;
  },
};

function table(tokens: readonly Token[]): readonly string[] {
  const rows = [
    ["ID", "NAME", "STATE", "CREATED", "LAST USED"],
    ...tokens.map((token) => [
      token.id,
      token.name,
      STATE_NAMES.get(token.state) ?? "",
      time(token.createdAt),
      token.lastUsedAt === undefined ? "never" : time(token.lastUsedAt),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function time(timestamp: Timestamp | undefined): string {
  return timestamp === undefined ? "" : `${timestampDate(timestamp).toISOString().slice(0, 19)}Z`;
}
