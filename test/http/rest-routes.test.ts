import { create, createFileRegistry, type DescService, mergeFromJson, setExtension } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  MethodOptionsSchema,
  TimestampSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { type HttpRule, HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import { messageFromJson } from "../../src/http/request-json.ts";
import { urlParameters } from "../../src/http/rest-parameters.ts";
import { type RestMatch, RestRoutes } from "../../src/http/rest-routes.ts";
import { serviceEntry } from "../../src/rpc/handlers.ts";

type Rule = Parameters<typeof create<typeof HttpRuleSchema>>[1];

/** Name, type, name of the type, whether it repeats. */
const FIELDS: readonly [string, Type, string?, boolean?][] = [
  ["name", Type.STRING],
  ["display_name", Type.STRING],
  ["tags", Type.STRING, "", true],
  ["is_on", Type.BOOL],
  ["count", Type.INT64],
  ["ratio", Type.DOUBLE],
  ["data", Type.BYTES],
  ["state", Type.ENUM, ".test.State"],
  ["since", Type.MESSAGE, ".google.protobuf.Timestamp"],
  ["inner", Type.MESSAGE, ".test.Request"],
  ["others", Type.MESSAGE, ".test.Request", true],
];

/** A service with a method for each rule, all of them taking the same request. */
function service(...rules: readonly Rule[]): DescService {
  const file = create(FileDescriptorProtoSchema, {
    name: "test.proto",
    package: "test",
    syntax: "proto3",
    dependency: [TimestampSchema.file.proto.name],
    enumType: [
      {
        name: "State",
        value: [
          { name: "STATE_UNSPECIFIED", number: 0 },
          { name: "STATE_ON", number: 1 },
        ],
      },
    ],
    messageType: [
      {
        name: "Request",
        field: FIELDS.map(([name, type, typeName = "", isRepeated = false], index) => ({
          name,
          jsonName: name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
          number: index + 1,
          type,
          label: isRepeated ? Label.REPEATED : Label.OPTIONAL,
          typeName,
        })),
      },
    ],
    service: [
      {
        name: "Service",
        method: rules.map((rule, index) => {
          const options = create(MethodOptionsSchema);
          setExtension(options, http, create(HttpRuleSchema, rule));
          return { name: `M${index}`, inputType: ".test.Request", outputType: ".test.Request", options };
        }),
      },
    ],
  });
  const found = createFileRegistry(file, () => TimestampSchema.file.proto).getService("test.Service");
  return found ?? expect.fail("no service");
}

const routes = (...rules: readonly Rule[]): RestRoutes =>
  new RestRoutes([serviceEntry(service(...rules), "anybody", {})]);

const holding = (part: object): unknown => expect.objectContaining(part);

const get = (value: string): Rule => ({ pattern: { case: "get", value } });

/** The request that a match makes of the URL. */
function request(match: RestMatch | undefined, query = ""): unknown {
  if (match === undefined || "allow" in match) return match;
  const { method, body } = match.route;
  const message = mergeFromJson(
    method.input,
    create(method.input),
    urlParameters(method.input, match.pathValues, query, body, new Map()),
  ) as Record<string, unknown>;
  const isSet = ([name, value]: [string, unknown]): boolean =>
    !name.startsWith("$") && !["", 0, 0n, false].includes(value as string) && !(isSized(value) && value.length === 0);
  return Object.fromEntries(Object.entries(message).filter(isSet));
}

const isSized = (value: unknown): value is { length: number } => Array.isArray(value) || value instanceof Uint8Array;

describe("a path template", () => {
  it.each<[string, string, unknown]>([
    ["/v1/{name}", "/v1/a", { name: "a" }],
    ["/v1/{name}", "/v1/", undefined],
    ["/v1/{name}", "/v1/a/b", undefined],
    ["/v1/{name}", "/v1/a%2Fb", { name: "a/b" }],
    ["/v1/{name}", "/v1/100%", { name: "100%" }],
    ["/v1/{name=shelves/*}", "/v1/shelves/1", { name: "shelves/1" }],
    ["/v1/{name=shelves/*}", "/v1/shelves/1%2F2%20", { name: "shelves/1%2F2 " }],
    ["/v1/{name=shelves/*}", "/v1/books/1", undefined],
    ["/v1/{name=**}", "/v1/a/b/c", { name: "a/b/c" }],
    ["/v1/{name}:rotate", "/v1/a:rotate", { name: "a" }],
    ["/v1/{name}:rotate", "/v1/a", undefined],
    ["/v1/{name}/things/{display_name}", "/v1/a/things/b", { name: "a", displayName: "b" }],
    ["/v1/*/{name}", "/v1/any/a", { name: "a" }],
    ["/v1/{inner.name}", "/v1/a", { inner: holding({ name: "a" }) }],
    ["/v1/{count}", "/v1/12", { count: 12n }],
    ["/v1.0/{name}", "/v1x0/a", undefined],
  ])("%s takes %s or not", (template, path, expected) => {
    expect(request(routes(get(template)).match("GET", path))).toEqual(expected);
  });

  it("that is more literal goes first", () => {
    const both = routes(get("/v1/{name}"), get("/v1/stats"), get("/v1/{name}:rotate"));
    const name = (path: string): string | undefined => {
      const match = both.match("GET", path);
      return match === undefined || "allow" in match ? undefined : match.route.method.name;
    };
    expect(["/v1/a", "/v1/stats", "/v1/a:rotate"].map(name)).toEqual(["M0", "M1", "M2"]);
  });

  it("may be one of several of a method", () => {
    const additionalBindings = [{ pattern: { case: "post" as const, value: "/v2/{name}" }, body: "*" }];
    const both = routes({ ...(get("/v1/{name}") as HttpRule), additionalBindings: additionalBindings as HttpRule[] });
    expect(request(both.match("GET", "/v1/a"))).toEqual({ name: "a" });
    expect(request(both.match("POST", "/v2/a"))).toEqual({ name: "a" });
    expect(both.match("GET", "/v2/a")).toEqual({ allow: ["POST"] });
  });

  it.each<[string, Rule]>([
    ["put", { pattern: { case: "put", value: "/v1/{name}" } }],
    ["patch", { pattern: { case: "patch", value: "/v1/{name}" } }],
    ["delete", { pattern: { case: "delete", value: "/v1/{name}" } }],
    ["merge", { pattern: { case: "custom", value: { kind: "MERGE", path: "/v1/{name}" } } }],
  ])("may stand under %s", (verb, rule) => {
    expect(request(routes(rule).match(verb.toUpperCase(), "/v1/a"))).toEqual({ name: "a" });
    expect(routes(rule).match("GET", "/v1/a")).toEqual({ allow: [verb.toUpperCase()] });
  });

  it.each<[string, Rule]>([
    ["an unknown field", get("/v1/{nope}")],
    ["a field inside of no message", get("/v1/{name.nope}")],
    ["a repeated field", get("/v1/{tags}")],
    ["a message", get("/v1/{inner}")],
    ["no field for a body", { ...get("/v1"), body: "nope" }],
    ["no path", {}],
    ["any method", { pattern: { case: "custom", value: { kind: "*", path: "/v1" } } }],
    ["a part of the response", { ...get("/v1"), responseBody: "name" }],
  ])("that names %s is refused at the start", (_, rule) => {
    expect(() => routes(rule)).toThrow(/^test\.Service\/M0: the HTTP rule /);
  });
});

describe("a query", () => {
  const list = (query: string): unknown => request(routes(get("/v1")).match("GET", "/v1"), query);

  it.each<[string, unknown]>([
    ["name=a&displayName=b", { name: "a", displayName: "b" }],
    ["display_name=b", { displayName: "b" }],
    ["name=a=b", { name: "a=b" }],
    ["name", {}],
    ["name=%C3%A4+%2B", { name: "ä +" }],
    ["tags=a&tags=b&tags=", { tags: ["a", "b", ""] }],
    ["is_on=true", { isOn: true }],
    ["isOn=false", {}],
    ["count=9007199254740993", { count: 9007199254740993n }],
    ["ratio=-1.5e3", { ratio: -1500 }],
    ["data=AQI", { data: new Uint8Array([1, 2]) }],
    ["state=STATE_ON", { state: 1 }],
    ["state=1", { state: 1 }],
    ["since=1970-01-01T00:00:01Z", { since: holding({ seconds: 1n }) }],
    ["inner.name=a&inner.display_name=b", { inner: holding({ name: "a", displayName: "b" }) }],
    ["inner.inner.tags=a", { inner: holding({ inner: holding({ tags: ["a"] }) }) }],
  ])("%s is understood", (query, expected) => {
    expect(list(query)).toEqual(expected);
  });

  it.each([
    ["is_on=yes", "is_on: must be true or false"],
    ["isOn=", "isOn: must be true or false"],
    ["count=1.5", "count: must be a 64-bit integer"],
    ["count=99999999999999999999", "count: must be a 64-bit integer"],
    ["ratio=x", "ratio: must be a number"],
    ["data=%21", "data: must be a string of base64"],
    ["state=ON", "state: must be one of STATE_UNSPECIFIED, STATE_ON"],
    ["since=today", "since: must be a time like 2025-01-15T10:00:00Z"],
    ["inner=x", "inner: is not a parameter here"],
    ["inner.name=a&inner.name=b", "inner.name: must be given once"],
    ["others=x", "others: is not a parameter here"],
    ["others.name=x", "others: is not a parameter here".replace("others", "others.name")],
    ["name.x=1", "name.x: is not a parameter here"],
    ["inner.=1", "inner.: is not a parameter here"],
  ])("%s is refused", (query, message) => {
    expect(() => list(query)).toThrow(message);
  });

  it("can't reach into what the body gives", () => {
    const route = routes({ pattern: { case: "patch", value: "/v1/{name}" }, body: "inner" }).match("PATCH", "/v1/a");
    expect(request(route, "count=1")).toEqual({ name: "a", count: 1n });
    expect(() => request(route, "inner.name=b")).toThrow("inner.name: is not a parameter here");
    expect(() => request(route, "name=b")).toThrow("name: is not a parameter here");
  });
});

describe("a body", () => {
  const { input } = service(get("/v1")).methods[0] ?? expect.fail("no method");
  const read = (text: string, field?: string): unknown => messageFromJson(input, new TextEncoder().encode(text), field);

  it("may stand for one field", () => {
    expect(read('{"name":"a"}', "inner")).toMatchObject({ inner: { name: "a" } });
    expect(read('["a","b"]', "tags")).toMatchObject({ tags: ["a", "b"] });
    expect(read('"a"', "name")).toMatchObject({ name: "a" });
    expect(() => read("[1]", "name")).toThrow("name: must be a string of valid Unicode");
    expect(() => read('{},"name":"b"', "inner")).toThrow("The request body is not JSON.");
  });

  it.each([
    ['{"inner":{"others":[{},{"count":"x"}]}}', "inner.others[1].count: must be a 64-bit integer"],
    ['{"inner":{"nope":1},"is_on":1}', "inner.nope: is not a field of the request; is_on: must be true or false"],
    ['{"inner":{"name":"a","name":"b"}}', "name: is given twice"],
    ['{"inner":{"display_name":"a","displayName":"b"}}', "inner.displayName: is given twice"],
    ['{"inner":[]}', "inner: must be an object"],
    ['{"others":[null]}', "others[0]: must be an object"],
    ['{"others":{}}', "others: must be an array"],
    ['{"tags":[null]}', "tags[0]: must be a string of valid Unicode"],
    ['{"ratio":1e999}', "ratio: must be a number"],
    ['{"data":"!"}', "data: must be a string of base64"],
    ['{"state":"ON"}', "state: must be one of STATE_UNSPECIFIED, STATE_ON"],
    ['{"state":1.5}', "state: must be one of STATE_UNSPECIFIED, STATE_ON"],
    ['{"since":1}', "since: must be a time like 2025-01-15T10:00:00Z"],
  ])("%s is refused", (text, message) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ message }));
  });

  it("that nests a message in itself without end is refused", () => {
    expect(() => read(`${'{"inner":'.repeat(2000)}{}${"}".repeat(2000)}`)).toThrow(/must be an object$/);
  });
});
