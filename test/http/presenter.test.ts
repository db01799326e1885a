import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { IntrospectionService, IntrospectResponseSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import { IssueResponseSchema, TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { AppError, type ErrorKind, invalidArgument } from "../../src/domain/errors.ts";
import { watchplanePresenter } from "../../src/http/presenters/watchplane.ts";
import { STATUS } from "../../src/rpc/status.ts";

describe("the Watchplane presenter", () => {
  it("shows the token when it is issued, and nothing that the product doesn't have", () => {
    const response = create(IssueResponseSchema, {
      token: { id: "tok_1", name: "CI", hint: "wp_…1234", organizationId: "org_1", createdAt: { seconds: 0n } },
      secret: "wp_secret",
    });
    expect(watchplanePresenter.success(TokenService.method.issue, response)).toEqual({
      status: 201,
      body: { data: { id: "tok_1", name: "CI", token: "wp_secret", createdAt: "1970-01-01T00:00:00Z" } },
    });
  });

  it("shows a method that it has no words for as it is", () => {
    const response = create(IntrospectResponseSchema, { active: true, tokenId: "tok_1" });
    expect(watchplanePresenter.success(IntrospectionService.method.introspect, response)).toEqual({
      status: 200,
      body: { data: { active: true, tokenId: "tok_1" } },
    });
  });

  it.each(Object.keys(STATUS) as ErrorKind[])("shows an error of kind %s by its code and message", (kind) => {
    expect(watchplanePresenter.failure(new AppError(kind, "Why.", { cause: new Error("secret") }))).toEqual({
      status: STATUS[kind].http,
      body: { error: { code: STATUS[kind].name, message: "Why." } },
    });
  });

  it("names every field at fault in the message", () => {
    const error = invalidArgument({ field: "a", description: "is required" }, { field: "b", description: "is odd" });
    expect(watchplanePresenter.failure(error).body).toEqual({
      error: { code: "INVALID_ARGUMENT", message: "a: is required; b: is odd" },
    });
  });
});
