/** `latchkey get`: one token, and whether anybody uses it. */
import { toJson } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type DailyUse,
  type Token,
  TokenService,
  TokenServiceGetResponseSchema,
} from "../../gen/latchkey/v1/token_pb.ts";
import { dateOf, dayOf, SHOWN_DAYS } from "../domain/daily-uses.ts";
import { command } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION } from "./service-call.ts";
import { sparkline } from "./sparkline.ts";
import { type Fact, formatState, formatTime, printFacts } from "./table.ts";

export const get = command({
  args: ["TOKEN_ID"],
  options: { ...CLIENT_OPTIONS, ...JSON_OPTION },
  notes:
    "Shows the token, its last use and how often it was used on each of the last 90 days (UTC), today at the end;\n" +
    "a dot is a day without use. TOKEN_ID is the public id (tok_…), not the secret.",
  async run(values, positionals, { call }) {
    const response = await call(TokenService, (client) => client.get({ id: positionals[0] ?? "" }));
    const { token, dailyUses } = response;
    if (values.json) {
      console.log(JSON.stringify(toJson(TokenServiceGetResponseSchema, response), null, 2));
    } else if (token !== undefined) {
      printFacts([...factsOf(token, Date.now()), ...usesOf(dailyUses, dayOf(Date.now()))]);
    }
    return 0;
  },
});

function factsOf(token: Token, nowMs: number): readonly Fact[] {
  const { lastUsedAt, lastUsedAddress, revokedAt, revokedBy } = token;
  const metadata = Object.entries(token.metadata).map(([key, value]) => `${key}=${value}`);
  return [
    ["id", token.id],
    ["name", token.name],
    ["state", formatState(token.state)],
    ["organization", token.organizationId],
    ["user", token.userId],
    ["profile", token.profile],
    ["type", token.type],
    ["permission", token.permission],
    ["scopes", token.scopes.join(" ")],
    ["addresses", token.ipAllowlist.join(" ")],
    ["metadata", metadata.join(" ")],
    ["secret", token.hint],
    ["old secret", oldSecret(token, nowMs)],
    ["created", `${formatTime(token.createdAt)} by ${token.createdBy}`],
    ["expires", formatTime(token.expiresAt) || "never"],
    ["revoked", revokedAt === undefined ? "" : `${formatTime(revokedAt)} by ${revokedBy}`],
    ["last used", (formatTime(lastUsedAt) || "never") + (lastUsedAddress === "" ? "" : ` from ${lastUsedAddress}`)],
  ];
}

function oldSecret({ rotation }: Token, nowMs: number): string {
  if (rotation === undefined) return "";
  const { previousHint, overlapEndsAt, previousLastUsedAt } = rotation;
  const works = overlapEndsAt !== undefined && timestampDate(overlapEndsAt).getTime() > nowMs;
  const lastUse = formatTime(previousLastUsedAt);
  return (
    `${previousHint}, ${works ? "works" : "worked"} until ${formatTime(overlapEndsAt)}, ` +
    (lastUse === "" ? "not used since the rotation" : `last used ${lastUse}`)
  );
}

function usesOf(dailyUses: readonly DailyUse[], today: number): readonly Fact[] {
  const byDate = new Map(dailyUses.map(({ date, count }) => [date, Number(count)]));
  // The service's clock may have reached a day that this one hasn't.
  const latest = dayOf(Date.parse(dailyUses.at(-1)?.date ?? dateOf(today)));
  const last = Math.max(today, latest);
  const dates = Array.from({ length: SHOWN_DAYS }, (_, index) => dateOf(last - SHOWN_DAYS + 1 + index));
  const counts = dates.map((date) => byDate.get(date) ?? 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const days = counts.filter((count) => count > 0).length;
  return [
    ["last 90 days", `${total} ${total === 1 ? "use" : "uses"} on ${days} ${days === 1 ? "day" : "days"}`],
    ["", total === 0 ? "" : sparkline(counts)],
  ];
}
