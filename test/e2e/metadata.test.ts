/** Labels hold text that every place they may go to can hold: no control characters, no halves of characters. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { expectOk, openSurface, RPC_SURFACES } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const { issue, list, get } = TokenService.method;

const CONTROL = {
  ok: false,
  code: "INVALID_ARGUMENT",
  message: "metadata: keys and values must not hold control characters",
};

let test: TestApp;
let backend: { bearer: string };

beforeAll(async () => {
  test = await startTestApp();
  backend = { bearer: test.credentials.serviceKey };
});

afterAll(() => test[Symbol.asyncDispose]());

describe.each(RPC_SURFACES)("metadata through %s", (name) => {
  it("comes back as it went in, in any script", async () => {
    const surface = openSurface(test.app, name);
    const { organizationId } = test.credentials;
    const metadata = { "команда 🔑": "\u{10ffff} e\u0301 \u00e9", toString: "x", empty: "" };
    const { token } = expectOk(await surface.invoke(issue, { organizationId, name: "x", metadata }, backend));
    expect(expectOk(await surface.invoke(get, { id: token?.id ?? "" }, backend)).token?.metadata).toEqual(metadata);
    surface.close();
  });

  it("is refused with a control character in it, in a key or a value, and nothing is stored", async () => {
    const surface = openSurface(test.app, name);
    const organizationId = await test.addOrganization();
    for (const text of ["\u0000", "a\u0000b", "a\nb", "\u007f", "\u0085"]) {
      for (const metadata of [{ [text]: "x" }, { x: text }, { good: "good", x: text }]) {
        expect(await surface.invoke(issue, { organizationId, name: "x", metadata }, backend)).toEqual(CONTROL);
      }
    }
    expect(expectOk(await surface.invoke(list, { organizationId }, backend)).tokens).toEqual([]);
    surface.close();
  });
});

describe.each([
  ["Issue, REST", "POST", () => "/api/v1/api-tokens"],
  ["Issue, Connect", "POST", () => "/latchkey.v1.TokenService/Issue"],
  ["Update, REST", "PATCH", (id: string) => `/api/v1/api-tokens/${id}`],
  ["Update, Connect", "POST", () => "/latchkey.v1.TokenService/Update"],
])("metadata as JSON through %s", (name, verb, pathOf) => {
  it.each([
    [String.raw`{"a":"\u0000"}`, "metadata: keys and values must not hold control characters"],
    [String.raw`{"\u0000":"a"}`, "metadata: keys and values must not hold control characters"],
    [String.raw`{"a":"\ud800"}`, "metadata: must be an object with values of the right type"],
    [String.raw`{"\udfff":"a"}`, "metadata: must be an object with values of the right type"],
    [String.raw`{"a":"\ud83d\ud83d"}`, "metadata: must be an object with values of the right type"],
  ])("%s is refused", async (metadata, message) => {
    const { adminEmail: email, adminPassword: password } = test.credentials;
    const admin = { bearer: await test.signIn({ email, password }) };
    const surface = openSurface(test.app, "grpc");
    const { id } = expectOk(await surface.issue(admin, { name: "x", metadata: { good: "good" } }));
    const named = name === "Update, Connect" ? `"id":"${id}"` : `"name":"x"`;
    const headers = { authorization: `Bearer ${admin.bearer}`, "content-type": "application/json" };
    const init = { method: verb, headers, body: `{${named},"metadata":${metadata}}` };
    const response = await fetch(`http://${test.app.httpAddress}${pathOf(id)}`, init);
    expect(response.status).toBe(400);
    const body = (await response.json()) as { message?: string; error?: { message: string } };
    expect(body.error?.message ?? body.message).toBe(message);
    const { token } = expectOk(await surface.invoke(get, { id }, admin));
    expect(token?.metadata).toEqual({ good: "good" });
    surface.close();
  });
});
