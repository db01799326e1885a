/** The JSON of Watchplane's public API. */
import { type DescMethod, type Message, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { AuthService } from "../../../gen/latchkey/v1/auth_pb.ts";
import { type Token, TokenService } from "../../../gen/latchkey/v1/token_pb.ts";
import { STATUS } from "../../rpc/status.ts";
import type { Presenter } from "../presenter.ts";

type Presentation = (response: Message) => { readonly status: number; readonly body: unknown };

const presentations: ReadonlyMap<DescMethod, Presentation> = new Map([
  present(TokenService.method.issue, 201, ({ token, secret }) => ({
    data: { id: token?.id, name: token?.name, token: secret, createdAt: time(token?.createdAt) },
  })),
  present(TokenService.method.list, 200, ({ tokens, nextPageToken }) => ({
    data: tokens.map(metadata),
    // The documented answer has `data` only, so a list of one page looks exactly like it.
    ...(nextPageToken === "" ? {} : { nextPageToken }),
  })),
  present(TokenService.method.get, 200, ({ token }) => ({ data: token && metadata(token) })),
  present(TokenService.method.revoke, 200, () => ({ message: "API token revoked" })),
  present(AuthService.method.login, 200, ({ accessToken, refreshToken, user }) => ({
    data: { accessToken, refreshToken, user: { id: user?.id, email: user?.email } },
  })),
  present(AuthService.method.refreshToken, 200, ({ accessToken, refreshToken }) => ({
    data: { accessToken, refreshToken },
  })),
]);

export const watchplanePresenter: Presenter = {
  success: (method, response) =>
    presentations.get(method)?.(response) ?? { status: 200, body: { data: toJson(method.output, response) } },
  failure: ({ kind, message }) => ({
    status: STATUS[kind].http,
    body: { error: { code: STATUS[kind].name, message } },
  }),
};

function present<M extends DescMethod>(
  method: M,
  status: number,
  body: (response: MessageShape<M["output"]>) => unknown,
): readonly [DescMethod, Presentation] {
  return [method, (response) => ({ status, body: body(response as MessageShape<M["output"]>) })];
}

function metadata(token: Token): object {
  return {
    id: token.id,
    name: token.name,
    lastUsedAt: time(token.lastUsedAt),
    createdAt: time(token.createdAt),
  };
}

/** RFC 3339 in UTC, with milliseconds only where there are any. */
function time(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined ? null : timestampDate(timestamp).toISOString().replace(".000Z", "Z");
}
