/** `latchkey rotate`: gives a token a new secret, and prints that alone so that it can be piped on. */
import { toJson } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { RotateResponseSchema, type Token, TokenSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { type Command, parseOptions, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, callService, clientHelp } from "./service-call.ts";
import { formatTime } from "./table.ts";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const rotate: Command = {
  usage: "TOKEN_ID [--overlap TIME | --finish | --cancel] [--idempotency-key KEY] [--json]",
  help: () =>
    "The new secret stands alone on the standard output, the rest on the standard error. For the overlap, such as\n" +
    "90s, 30m, 12h or 7d, and 30d at most, the old secret works too; without one it stops at once. --finish stops\n" +
    "the old secret before the overlap is over, --cancel stops the new one and keeps the old. TOKEN_ID is the public\n" +
    `id (tok_…), not the secret.\n${clientHelp}`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      {
        ...CLIENT_OPTIONS,
        overlap: { type: "string" },
        finish: { type: "boolean", default: false },
        cancel: { type: "boolean", default: false },
        "idempotency-key": { type: "string", default: "" },
        json: { type: "boolean", default: false },
      },
      1,
    );
    const { overlap, finish, cancel, json } = values;
    if ([overlap !== undefined, finish, cancel].filter(Boolean).length > 1) {
      throw new UsageError("--overlap, --finish and --cancel exclude each other");
    }
    const request = { id: positionals[0] ?? "", idempotencyKey: values["idempotency-key"] };
    if (finish || cancel) {
      const { token } = await callService(
        TokenService,
        values,
        async (client): Promise<{ readonly token?: Token | undefined }> =>
          finish ? client.finishRotation(request) : client.cancelRotation(request),
      );
      if (json) console.log(JSON.stringify({ token: token && toJson(TokenSchema, token) }, null, 2));
      else console.error(`${token?.id} (${token?.name}) has one secret now, ${token?.hint}`);
      return 0;
    }
    const wanted = overlap === undefined ? {} : { overlap: durationFromMs(toMs(overlap)) };
    const response = await callService(TokenService, values, (client) => client.rotate({ ...request, ...wanted }));
    if (json) {
      console.log(JSON.stringify(toJson(RotateResponseSchema, response), null, 2));
    } else {
      console.error(`rotated ${response.token?.id} (${response.token?.name}): ${oldSecret(response.token)}`);
      console.error("its new secret can't be shown again:");
      console.log(response.secret);
    }
    return 0;
  },
};

/** @throws UsageError for what isn't a number with a unit */
function toMs(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  if (unitMs === undefined) throw new UsageError("--overlap must be a time such as 90s, 30m, 12h or 7d");
  return Number(number) * unitMs;
}

function oldSecret(token: Token | undefined): string {
  const { startedAt, overlapEndsAt, previousHint } = token?.rotation ?? {};
  const [from, until] = [formatTime(startedAt), formatTime(overlapEndsAt)];
  return from === until
    ? `the old secret, ${previousHint}, has stopped`
    : `the old secret, ${previousHint}, works until ${until}`;
}
