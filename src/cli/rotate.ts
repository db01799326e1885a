/** `latchkey rotate`: gives a token a new secret, and prints that alone so that it can be piped on. */
import { toJson } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { RotateResponseSchema, type Token, TokenSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { command, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION, KEY_OPTION } from "./service-call.ts";
import { formatTime } from "./table.ts";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const rotate = command({
  args: ["TOKEN_ID"],
  options: {
    ...CLIENT_OPTIONS,
    ...KEY_OPTION,
    ...JSON_OPTION,
    overlap: {
      type: "string",
      value: "TIME",
      help: "let the old secret work so long, such as 90s, 30m, 12h or 7d; 30d at most",
    },
    finish: { type: "boolean", default: false, help: "stop the old secret before the overlap is over" },
    cancel: { type: "boolean", default: false, help: "stop the new secret, and keep the old one" },
  },
  notes:
    "The new secret stands alone on the standard output, the rest on the standard error. Without an overlap the old\n" +
    "secret stops at once. TOKEN_ID is the public id (tok_…), not the secret.",
  async run(values, positionals, { call }) {
    const { overlap, finish, cancel, json } = values;
    if ([overlap !== undefined, finish, cancel].filter(Boolean).length > 1) {
      throw new UsageError("--overlap, --finish and --cancel exclude each other");
    }
    const request = { id: positionals[0] ?? "", idempotencyKey: values["idempotency-key"] };
    if (finish || cancel) {
      const { token } = await call(
        TokenService,
        async (client): Promise<{ readonly token?: Token | undefined }> =>
          finish ? client.finishRotation(request) : client.cancelRotation(request),
      );
      if (json) console.log(JSON.stringify({ token: token && toJson(TokenSchema, token) }, null, 2));
      else console.error(`${token?.id} (${token?.name}) has one secret now, ${token?.hint}`);
      return 0;
    }
    const wanted = overlap === undefined ? {} : { overlap: durationFromMs(toMs(overlap)) };
    const response = await call(TokenService, (client) => client.rotate({ ...request, ...wanted }));
    if (json) {
      console.log(JSON.stringify(toJson(RotateResponseSchema, response), null, 2));
    } else {
      console.error(`rotated ${response.token?.id} (${response.token?.name}): ${oldSecret(response.token)}`);
      console.error("its new secret can't be shown again:");
      console.log(response.secret);
    }
    return 0;
  },
});

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
