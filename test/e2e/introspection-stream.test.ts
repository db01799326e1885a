/** Many questions on one stream: each has its answer, in order, and none outlives its caller's credential. */
import { once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  IntrospectionService,
  type IntrospectRequestSchema,
  type IntrospectResponse,
  type IntrospectStreamRequestSchema,
  type IntrospectStreamResponse,
  Reason,
} from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient, type ServiceClient } from "../../src/client/index.ts";
import { type GrpcClient, grpcClient } from "../helpers/grpc-client.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

type Question = MessageInitShape<typeof IntrospectRequestSchema>;
type Stream = ClientDuplexStream<MessageInitShape<typeof IntrospectStreamRequestSchema>, IntrospectStreamResponse>;

let test: TestApp;
let tokens: ServiceClient<typeof TokenService>;
let backend: GrpcClient<typeof IntrospectionService>;

const clientFor = (key: string): GrpcClient<typeof IntrospectionService> =>
  grpcClient(IntrospectionService, test.app.grpcAddress, { headers: { authorization: `Bearer ${key}` } });

const issue = (name: string) => tokens.issue({ organizationId: test.credentials.organizationId, name });

const endOf = async (stream: Stream): Promise<ServiceError> => {
  const [error] = (await once(stream, "error")) as [ServiceError];
  return error;
};

async function* answersOf(stream: Stream): AsyncGenerator<IntrospectResponse | undefined, undefined> {
  for await (const { response } of stream as AsyncIterable<IntrospectStreamResponse>) yield response;
}

beforeAll(async () => {
  test = await startTestApp();
  tokens = createClient(TokenService, { address: test.app.grpcAddress, token: test.credentials.serviceKey });
  backend = clientFor(test.credentials.serviceKey);
});

afterAll(async () => {
  tokens.close();
  backend[Symbol.dispose]();
  await test[Symbol.asyncDispose]();
});

describe("an introspection that succeeds", () => {
  it("is logged, and answered with its id, when the caller gave it one", async () => {
    const { secret } = await issue("to be found in the log");
    const isLogged = (line: string) => line.includes('"level":"info"') && line.includes("/Introspect");
    const calls = () => test.logLines.filter(isLogged);
    const ids: (string | undefined)[] = [];
    const onHeader = (header: Metadata): void => void ids.push(header.get("x-request-id")[0]?.toString());
    const before = calls().length;
    await backend.introspect({ token: secret }, { onHeader });
    await backend.introspect({ token: secret }, { onHeader, headers: { "x-request-id": "mine" } });
    expect(ids).toEqual([undefined, "mine"]);
    expect(calls().slice(before)).toEqual([expect.stringContaining('"requestId":"mine"')]);
  });
});

describe("IntrospectStream", () => {
  it("answers each question in its place, whatever the answer is", async () => {
    const issued = await Promise.all(["one", "two", "three"].map(issue));
    await tokens.revoke({ id: issued[1]?.token?.id ?? "" });
    const questions: Question[] = Array.from({ length: 2_000 }, (_, index) =>
      index % 5 === 4 ? { token: `noise ${index} 🔑` } : { token: issued[index % 3]?.secret ?? "" },
    );
    const stream = backend.introspectStream();
    for (const question of questions) stream.write({ request: question });
    stream.end();
    const answers = await Array.fromAsync(answersOf(stream));
    expect(answers.map((answer) => [answer?.active, answer?.reason, answer?.name])).toEqual(
      questions.map((_, index) => {
        if (index % 5 === 4) return [false, Reason.MALFORMED, ""];
        return index % 3 === 1
          ? [false, Reason.REVOKED, ""]
          : [true, Reason.UNSPECIFIED, ["one", "", "three"][index % 3]];
      }),
    );
  });

  it("answers as Introspect does, to the field", async () => {
    const { secret } = await issue("same");
    const questions: Question[] = [
      { token: secret, clientIp: "192.0.2.1", requiredScopes: ["x"], cost: 3 },
      { token: "wp_", clientIp: "2001:db8::1" },
      { token: secret, dryRun: true },
    ];
    const stream = backend.introspectStream();
    const answers = answersOf(stream);
    for (const question of questions) {
      stream.write({ request: question });
      expect((await answers.next()).value).toEqual(await backend.introspect(question));
    }
    stream.end();
    expect(await answers.next()).toMatchObject({ done: true });
  });

  it("sees a revoke at once", async () => {
    const { token, secret } = await issue("to revoke");
    const stream = backend.introspectStream();
    const answers = answersOf(stream);
    for (let turn = 0; turn < 3; turn++) {
      stream.write({ request: { token: secret } });
      expect((await answers.next()).value).toMatchObject({ active: true });
    }
    await tokens.revoke({ id: token?.id ?? "" });
    stream.write({ request: { token: secret } });
    expect((await answers.next()).value).toMatchObject({ active: false, reason: Reason.REVOKED });
    stream.cancel();
  });

  it("ends at the next question once the caller's key is revoked", async () => {
    const key = await test.addServiceKey(["introspect"]);
    using client = clientFor(key);
    const { secret } = await issue("asked for");
    const stream = client.introspectStream();
    stream.write({ request: { token: secret } });
    await once(stream, "data");
    const { tokens: all } = await tokens.list({ organizationId: "org_00000000000000000000000000", pageSize: 1 });
    await tokens.revoke({ id: all[0]?.id ?? "", organizationId: "org_00000000000000000000000000" });
    const end = endOf(stream);
    stream.write({ request: { token: secret } });
    expect(await end).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it("ends with the fault of a question that breaks a rule", async () => {
    const stream = backend.introspectStream();
    const end = endOf(stream);
    stream.write({ request: { token: "x", clientIp: "no address" } });
    expect(await end).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining("client_ip") as string,
    });
  });

  it("ends with a message that holds no question", async () => {
    const stream = backend.introspectStream();
    const end = endOf(stream);
    stream.write({});
    expect(await end).toMatchObject({ code: status.INVALID_ARGUMENT, details: "request: is required" });
  });

  it("is refused without a credential, and to a key without the scope", async () => {
    using nobody = grpcClient(IntrospectionService, test.app.grpcAddress);
    expect(await endOf(nobody.introspectStream())).toMatchObject({ code: status.UNAUTHENTICATED });
    using reader = clientFor(await test.addServiceKey(["tokens:read"]));
    const stream = reader.introspectStream();
    const end = endOf(stream);
    stream.write({ request: { token: "x" } });
    expect(await end).toMatchObject({ code: status.PERMISSION_DENIED });
  });
});
