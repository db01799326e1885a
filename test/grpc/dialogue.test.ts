/** Bidirectional calls whose messages are answered one by one, with the reflection service as a stand-in. */
import { once } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { AppError, invalidCredential } from "../../src/domain/errors.ts";
import { serviceEntry } from "../../src/rpc/handlers.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { CALLER, KEY_HEADERS, startTestServer, type TestServer, type TestServerOptions } from "./test-server.ts";

type Answer = (host: string) => string | Promise<string>;

const encode = (validHost: string): Buffer =>
  Buffer.from(toBinary(ServerReflectionResponseSchema, create(ServerReflectionResponseSchema, { validHost })));

function dialogueServer(answer: Answer, options: TestServerOptions = {}): Promise<TestServer> {
  const serverReflectionInfo = (request: Buffer): Buffer | Promise<Buffer> => {
    const answered = answer(fromBinary(ServerReflectionRequestSchema, request).host);
    return typeof answered === "string" ? encode(answered) : answered.then(encode);
  };
  const services = [serviceEntry(ServerReflection, "nobody", {}, { serverReflectionInfo })];
  return startTestServer({ ...options, services });
}

const clientOf = (server: TestServer) => grpcClient(ServerReflection, server.address, { headers: KEY_HEADERS });

describe("a dialogue", () => {
  it("keeps the order of its questions, however long an answer takes", async () => {
    await using server = await dialogueServer(async (host) => {
      for (let turn = Number(host) % 7; turn > 0; turn--) await new Promise(setImmediate);
      return host;
    });
    using client = clientOf(server);
    const stream = client.serverReflectionInfo();
    const hosts = Array.from({ length: 200 }, (_, index) => String(index));
    for (const host of hosts) stream.write({ host });
    stream.end();
    const answers: string[] = [];
    for await (const { validHost } of stream as AsyncIterable<ServerReflectionResponse>) answers.push(validHost);
    expect(answers).toEqual(hosts);
    expect(server.log.calls).toEqual([]);
  });

  it("takes no more questions than its client takes answers", async () => {
    const total = 1_000;
    let answered = 0;
    await using server = await dialogueServer((host) => {
      if (host === "ping") return host;
      answered++;
      return "x".repeat(65_536);
    });
    using client = clientOf(server);
    const stream = client.serverReflectionInfo();
    for (let index = 0; index < total; index++) stream.write({ host: "everything" });
    stream.end();
    await once(stream, "metadata");
    // While another call goes back and forth, one that nobody holds back would get to its end.
    const other = client.serverReflectionInfo();
    for (let round = 0; round < 20; round++) {
      other.write({ host: "ping" });
      await once(other, "data");
    }
    other.end();
    expect(answered).toBeGreaterThan(0);
    expect(answered).toBeLessThan(total / 2);
    let read = 0;
    for await (const _ of stream as AsyncIterable<ServerReflectionResponse>) read++;
    expect(read).toBe(total);
  });

  it("asks who calls for each question, and ends when that is nobody any more", async () => {
    let isGood = true;
    await using server = await dialogueServer((host) => host, {
      authenticate: async () => {
        if (!isGood) throw invalidCredential();
        return CALLER;
      },
    });
    using client = clientOf(server);
    const stream = client.serverReflectionInfo();
    stream.write({ host: "a" });
    await once(stream, "data");
    isGood = false;
    stream.write({ host: "b" });
    const [error] = (await once(stream, "error")) as [{ code: number }];
    expect(error.code).toBe(status.UNAUTHENTICATED);
    expect(await server.log.call()).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it.each([
    [
      "now",
      () => {
        throw new AppError("failed_precondition", "No.");
      },
    ],
    ["later", () => Promise.reject(new AppError("failed_precondition", "No."))],
  ] as const)("ends with the error of a question that fails %s", async (_, answer) => {
    await using server = await dialogueServer(answer);
    using client = clientOf(server);
    const stream = client.serverReflectionInfo();
    stream.write({ host: "a" });
    const [error] = (await once(stream, "error")) as [{ code: number; details: string }];
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: "No." });
  });
});
