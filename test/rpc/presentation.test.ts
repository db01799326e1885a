import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { IssueResponseSchema, TokenService, TokenServiceListResponseSchema } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError, type ErrorKind, invalidArgument, invalidCredential, rateLimited } from "../../src/domain/errors.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { presentFailure, presentSuccess } from "../../src/rpc/presentation.ts";
import { STATUS } from "../../src/rpc/status.ts";

const profiles = loadProfiles(undefined);
const profile = (id: string) => profiles.get(id) ?? expect.fail(`no profile ${id}`);
const watchplane = profile("watchplane");
const NOW = Date.parse("2026-03-04T05:06:07.500Z");

describe("an answer", () => {
  const token = { id: "tok_01h455vb4pex5vsknk084sn02q", name: "CI", hint: "wp_…1234", createdAt: { seconds: 0n } };

  it("shows what the product's template has, and nothing else", () => {
    const response = create(IssueResponseSchema, { token, secret: "wp_secret" });
    expect(presentSuccess(watchplane, TokenService.method.issue, response)).toEqual({
      status: 201,
      headers: {},
      body: { data: { id: token.id, name: "CI", token: "wp_secret", createdAt: "1970-01-01T00:00:00Z" } },
    });
  });

  it("leaves out what is empty where the template says so, and shows null elsewhere", () => {
    const page = create(TokenServiceListResponseSchema, { tokens: [token] });
    const data = [{ id: token.id, name: "CI", lastUsedAt: null, createdAt: "1970-01-01T00:00:00Z" }];
    expect(presentSuccess(watchplane, TokenService.method.list, page).body).toEqual({ data });
    const more = create(TokenServiceListResponseSchema, { tokens: [token], nextPageToken: "more" });
    expect(presentSuccess(watchplane, TokenService.method.list, more).body).toEqual({ data, nextPageToken: "more" });
  });

  it("shows milliseconds only where there are any", () => {
    const createdAt = { seconds: 1n, nanos: 20_000_000 };
    const response = create(IssueResponseSchema, { token: { ...token, createdAt }, secret: "s" });
    expect(presentSuccess(watchplane, TokenService.method.issue, response).body).toMatchObject({
      data: { createdAt: "1970-01-01T00:00:01.020Z" },
    });
  });

  it("shows where a token was last used from, and null where that isn't known", () => {
    const presentation = { ...watchplane.presentation, token: { from: "{last_used_address}" } };
    const shown = (lastUsedAddress: string) => {
      const page = create(TokenServiceListResponseSchema, { tokens: [{ ...token, lastUsedAddress }] });
      return presentSuccess({ ...watchplane, presentation }, TokenService.method.list, page).body;
    };
    expect(shown("192.0.2.7")).toEqual({ data: [{ from: "192.0.2.7" }] });
    expect(shown("")).toEqual({ data: [{ from: null }] });
  });

  it("shows plain UUIDs where the product has them", () => {
    const response = create(IssueResponseSchema, { token, secret: "pk_secret" });
    expect(presentSuccess(profile("plane"), TokenService.method.issue, response).body).toMatchObject({
      id: "01890a5d-ac96-774b-bcce-b302099a8057",
      token: "pk_secret",
      label: "CI",
    });
  });
});

describe("an error", () => {
  it.each(Object.keys(STATUS) as ErrorKind[])("of kind %s has its status, code and message, and no cause", (kind) => {
    const error = new AppError(kind, "Why.", { cause: new Error("secret") });
    const { status, body } = presentFailure(watchplane, error, NOW);
    expect({ status, body }).toEqual({
      status: STATUS[kind].http,
      body: { error: { code: STATUS[kind].name, message: "Why." } },
    });
  });

  it("names every field at fault, by the product's name", () => {
    const error = invalidArgument(
      { field: "name", description: "is required" },
      { field: "expires_at", description: "must be in the future" },
      { field: "ip_allowlist[2]", description: "is odd" },
    );
    expect(presentFailure(watchplane, error, NOW).body).toMatchObject({
      error: { message: "name: is required; expires_at: must be in the future; ip_allowlist[2]: is odd" },
    });
    expect(presentFailure(profile("plane"), error, NOW).body).toEqual({
      detail: "label: is required; expired_at: must be in the future; ip_allowlist[2]: is odd",
    });
  });

  it("uses the product's code and words", () => {
    expect(presentFailure(profile("watchmantower"), invalidCredential(), NOW)).toMatchObject({
      status: 401,
      headers: { "WWW-Authenticate": 'Bearer realm="latchkey"' },
      body: { success: false, error: { code: "UNAUTHORIZED", message: "Invalid API key" } },
    });
  });

  it("of a rate limit says where the token stands and when to come back", () => {
    const error = rateLimited({ limit: 100, remaining: 0, resetMs: NOW + 1_500 });
    expect(presentFailure(profile("watchmantower"), error, NOW)).toEqual({
      status: 429,
      headers: {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": String((NOW + 1_500) / 1000),
        "Retry-After": "2",
      },
      body: { success: false, error: { code: "RATE_LIMITED", message: "Rate limit exceeded" } },
    });
  });
});
