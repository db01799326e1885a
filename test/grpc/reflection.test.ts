import { execFile } from "node:child_process";
import { promisify } from "node:util";
import {
  createFileRegistry,
  type FileRegistry,
  fromBinary,
  getOption,
  hasExtension,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { field as validateField } from "../../gen/buf/validate/validate_pb.ts";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createHealth } from "../../src/grpc/health.ts";
import { createReflection } from "../../src/grpc/reflection.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { KEY, startTestServer, type TestServer } from "./test-server.ts";

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];
type Answer = ServerReflectionResponse["messageResponse"];

const run = promisify(execFile);
const TOKEN_FILE = "latchkey/v1/token.proto";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    token: { issue: async ({ name }) => ({ token: { name }, secret: "s3cret" }) },
    services: [createHealth([]).entry, ...createReflection([TokenService, IntrospectionService, Health])],
  });
});
afterAll(() => server.stop());

// Both versions have messages of the same shape, so one client type serves for both.
const VERSIONS = [
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha as unknown as typeof ServerReflection],
] as const;

describe.each(VERSIONS)("reflection %s", (_version, service) => {
  /** Asks on one stream, in order. */
  async function ask(...questions: NonNullable<Question>[]): Promise<Answer[]> {
    using client = grpcClient(service, server.address);
    const stream = client.serverReflectionInfo();
    for (const messageRequest of questions) stream.write({ host: "here", messageRequest });
    stream.end();
    const answers: Answer[] = [];
    for await (const { messageResponse, validHost } of stream as AsyncIterable<ServerReflectionResponse>) {
      expect(validHost).toBe("here");
      answers.push(messageResponse);
    }
    return answers;
  }

  const filesIn = (answer: Answer | undefined): FileDescriptorProto[] => {
    if (answer?.case !== "fileDescriptorResponse") expect.fail(`no files but ${JSON.stringify(answer)}`);
    return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  };

  it("lists every service, itself included", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    expect(answer).toMatchObject({ case: "listServicesResponse" });
    const names = answer?.case === "listServicesResponse" ? answer.value.service.map(({ name }) => name) : [];
    expect(names).toEqual([
      "latchkey.v1.TokenService",
      "latchkey.v1.IntrospectionService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  it("serves a file with all that it imports", async () => {
    const [answer] = await ask({ case: "fileByFilename", value: TOKEN_FILE });
    const files = filesIn(answer);
    expect(files[0]?.name).toBe(TOKEN_FILE);
    const names = new Set(files.map(({ name }) => name));
    expect(names.size).toBe(files.length);
    expect(names).toContain("buf/validate/validate.proto");
    expect(names).toContain("google/api/http.proto");
    expect(names).toContain("google/protobuf/descriptor.proto");
    expect(files.flatMap(({ dependency }) => dependency).filter((name) => !names.has(name))).toEqual([]);
  });

  it("sends a file once on a stream, unless it is asked for by name", async () => {
    const question = { case: "fileByFilename", value: TOKEN_FILE } as const;
    const [first, second] = await ask(question, question);
    expect(filesIn(first).length).toBeGreaterThan(1);
    expect(filesIn(second).map(({ name }) => name)).toEqual([TOKEN_FILE]);
  });

  it("serves the routes and the validation rules with it", async () => {
    const [answer] = await ask({ case: "fileByFilename", value: TOKEN_FILE });
    const registry = toRegistry(filesIn(answer));
    const issue = registry.getService("latchkey.v1.TokenService")?.method["issue"];
    expect(getOption(issue!, http).pattern).toEqual({ case: "post", value: "/api/v1/api-tokens" });
    const name = registry.getMessage("latchkey.v1.IssueRequest")?.field["name"];
    expect(hasExtension(name!.proto.options!, validateField)).toBe(true);
    expect(getOption(name!, validateField)).toMatchObject({ required: true });
  });

  it("serves what the compiler made of our files", async () => {
    const { stdout } = await run(
      "buf",
      ["build", "--exclude-source-info", "--as-file-descriptor-set", "-o", "-#format=binpb"],
      {
        encoding: "buffer",
        maxBuffer: 32 * 1024 * 1024,
      },
    );
    const compiled = new Map(fromBinary(FileDescriptorSetSchema, stdout).file.map((file) => [file.name, file]));
    for (const value of [TOKEN_FILE, "latchkey/v1/introspection.proto", "google/api/annotations.proto"]) {
      const [answer] = await ask({ case: "fileByFilename", value });
      expect(filesIn(answer)[0]).toEqual(compiled.get(value));
    }
  });

  it.each([
    ["a service", "latchkey.v1.TokenService", TOKEN_FILE],
    ["a method", "latchkey.v1.TokenService.Issue", TOKEN_FILE],
    ["a message", "latchkey.v1.Token", TOKEN_FILE],
    ["a field", "latchkey.v1.Token.hint", TOKEN_FILE],
    ["a oneof", "google.api.HttpRule.pattern", "google/api/http.proto"],
    ["an enum", "latchkey.v1.Reason", "latchkey/v1/introspection.proto"],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["an enum value", "latchkey.v1.REASON_EXPIRED", "latchkey/v1/introspection.proto"],
    ["a nested enum's value", "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["an extension", "google.api.http", "google/api/annotations.proto"],
    ["itself", "grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"],
  ])("finds %s", async (_, value, file) => {
    const [answer] = await ask({ case: "fileContainingSymbol", value });
    expect(filesIn(answer)[0]?.name).toBe(file);
  });

  it("finds extensions by what they extend", async () => {
    const containingType = "google.protobuf.MethodOptions";
    const [file, numbers, none] = await ask(
      { case: "fileContainingExtension", value: { containingType, extensionNumber: http.number } },
      { case: "allExtensionNumbersOfType", value: containingType },
      { case: "allExtensionNumbersOfType", value: "latchkey.v1.Token" },
    );
    expect(filesIn(file)[0]?.name).toBe("google/api/annotations.proto");
    expect(numbers?.value).toMatchObject({ baseTypeName: containingType, extensionNumber: [http.number] });
    expect(none?.value).toMatchObject({ baseTypeName: "latchkey.v1.Token", extensionNumber: [] });
  });

  it.each<[string, NonNullable<Question>]>([
    ["file", { case: "fileByFilename", value: "../../etc/passwd" }],
    ["symbol", { case: "fileContainingSymbol", value: "latchkey.v1.Nothing" }],
    ["symbol, however long", { case: "fileContainingSymbol", value: "x".repeat(60_000) }],
    ["symbol of JavaScript's", { case: "fileContainingSymbol", value: "constructor" }],
    [
      "extension",
      { case: "fileContainingExtension", value: { containingType: "latchkey.v1.Token", extensionNumber: 1 } },
    ],
    ["type", { case: "allExtensionNumbersOfType", value: "latchkey.v1.Nothing" }],
  ])("has no such %s, and goes on", async (_, question) => {
    const [answer, next] = await ask(question, { case: "listServices", value: "" });
    expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode: status.NOT_FOUND } });
    expect(JSON.stringify(answer).length).toBeLessThan(300);
    expect(next?.case).toBe("listServicesResponse");
  });

  it("asks back when it is asked nothing", async () => {
    const [answer] = await ask({ case: undefined });
    expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode: status.INVALID_ARGUMENT } });
  });
});

describe("buf curl", () => {
  const curl = async (method: string, data: string): Promise<unknown> => {
    const { stdout } = await run("buf", [
      "curl",
      "--http2-prior-knowledge",
      "--protocol",
      "grpc",
      "--header",
      `x-api-key: ${KEY}`,
      "--data",
      data,
      `http://${server.address}/${method}`,
    ]);
    return JSON.parse(stdout);
  };

  it("needs nothing but reflection to call", async () => {
    expect(await curl("latchkey.v1.TokenService/Issue", '{"name": "ci"}')).toEqual({
      token: { name: "ci" },
      secret: "s3cret",
    });
    expect(await curl("grpc.health.v1.Health/Check", "{}")).toEqual({ status: "NOT_SERVING" });
  });
});

function toRegistry(files: readonly FileDescriptorProto[]): FileRegistry {
  const byName = new Map(files.map((file) => [file.name, file]));
  return createFileRegistry(files[0]!, (name) => byName.get(name));
}
