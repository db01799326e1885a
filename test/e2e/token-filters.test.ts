/** What TokenService.List finds when it is asked for some tokens only. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenService, TokenState } from "../../gen/latchkey/v1/token_pb.ts";
import {
  field,
  HOUR,
  type Json,
  PRODUCTS,
  type ProductService,
  SECOND,
  startProducts,
  type Tenant,
} from "../helpers/products.ts";
import { type Credential, expectOk, openSurface, RPC_SURFACES, type RpcSurface } from "../helpers/surfaces.ts";

const { issue, list, revoke } = TokenService.method;

let service: ProductService;

beforeAll(async () => {
  service = await startProducts();
});

afterAll(() => service[Symbol.asyncDispose]());

type Query = MessageInitShape<typeof list.input>;

describe.each(RPC_SURFACES)("the filters through %s", (name) => {
  let surface: RpcSurface;
  let backend: Credential;

  beforeAll(() => {
    surface = openSurface(service.test.app, name);
    backend = { bearer: service.test.credentials.serviceKey };
  });

  afterAll(() => surface.close());

  /** Somebody who manages the tokens of an organization. */
  const adminOf = async (tenant: Tenant): Promise<Credential> => ({
    bearer: await service.test.signIn(await tenant.person("admin")),
  });

  const add = async (tenant: Tenant, fields: { name: string; type?: string; scopes?: string[] }, by = backend) => {
    service.clock.advance(SECOND);
    return expectOk(await surface.invoke(issue, { organizationId: tenant.id, ...fields }, by));
  };

  const namesIn = async (tenant: Tenant, query: Query, by = backend): Promise<readonly string[]> => {
    const { tokens } = expectOk(await surface.invoke(list, { organizationId: tenant.id, ...query }, by));
    return tokens.map((token) => token.name);
  };

  it("find what has all that is named, newest first, and nothing of another organization", async () => {
    const [tenant, neighbour] = [await service.addTenant("plane"), await service.addTenant("plane")];
    const { userId } = await tenant.person("admin");
    const admin = await adminOf(tenant);
    const { token } = await add(tenant, { name: "ci: build", type: "service" });
    await add(tenant, { name: "CI: deploy", type: "service" }, admin);
    await add(tenant, { name: "ci: test", type: "api_key" }, admin);
    const old = await add(tenant, { name: "ci: old", type: "service" }, admin);
    expectOk(await surface.invoke(revoke, { id: old.token?.id ?? "" }, backend));
    await add(neighbour, { name: "ci: theirs", type: "service" });

    const names = (query: Query) => namesIn(tenant, query);
    expect(await names({ type: "service" })).toEqual(["ci: old", "CI: deploy", "ci: build"]);
    expect(await names({ type: "robot" })).toEqual([]);
    expect(await names({ namePrefix: "ci: " })).toEqual(["ci: old", "ci: test", "ci: build"]);
    expect(await names({ namePrefix: "CI" })).toEqual(["CI: deploy"]);
    expect(await names({ namePrefix: "%" })).toEqual([]);
    expect(await names({ createdBy: userId })).toEqual(["ci: old", "ci: test", "CI: deploy"]);
    expect(await names({ createdBy: token?.createdBy ?? "" })).toEqual(["ci: build"]);
    expect(await names({ createdBy: "usr_nobody" })).toEqual([]);
    const all = { type: "service", namePrefix: "ci", createdBy: userId };
    expect(await names(all)).toEqual(["ci: old"]);
    expect(await names({ ...all, states: [TokenState.REVOKED, TokenState.EXPIRED] })).toEqual(["ci: old"]);
    expect(await names({ ...all, states: [TokenState.ACTIVE] })).toEqual([]);

    const stranger = await adminOf(neighbour);
    expect(await namesIn(neighbour, { namePrefix: "ci" }, stranger)).toEqual(["ci: theirs"]);
    const foreign = { organizationId: tenant.id, createdBy: token?.createdBy ?? "" };
    expect(await surface.invoke(list, foreign, stranger)).toMatchObject({ code: "NOT_FOUND" });
  });

  it("find tokens that nobody used since a moment", async () => {
    const tenant = await service.addTenant("plane");
    const used = await add(tenant, { name: "used" });
    await add(tenant, { name: "never used" });
    service.clock.advance(HOUR);
    const usedAt = service.clock.nowMs;
    await service.introspect({ token: used.secret });
    await service.flushUses();
    await add(tenant, { name: "new" });
    const unusedSince = (ms: number) => namesIn(tenant, { unusedSince: timestampFromMs(ms) });
    expect(await unusedSince(0)).toEqual([]);
    expect(await unusedSince(usedAt)).toEqual(["never used"]);
    expect(await unusedSince(usedAt + 1)).toEqual(["never used", "used"]);
    expect(await unusedSince(service.clock.nowMs + 1)).toEqual(["new", "never used", "used"]);
  });

  it("show service keys to service keys only", async () => {
    const tenant = await service.addTenant("plane");
    await add(tenant, { name: "key", type: "service_key", scopes: ["tokens:read"] });
    for (const query of [{ type: "service_key" }, { namePrefix: "key" }]) {
      expect(await namesIn(tenant, query)).toEqual(["key"]);
      expect(await namesIn(tenant, query, await adminOf(tenant))).toEqual([]);
    }
  });

  it("belong to the page token, each of them", async () => {
    const tenant = await service.addTenant("plane");
    for (let index = 0; index < 3; index++) await add(tenant, { name: `a ${index}`, type: "service" });
    const unusedSince = timestampFromMs(service.clock.nowMs + HOUR);
    const asked = { organizationId: tenant.id, type: "service", namePrefix: "a", createdBy: "", unusedSince };
    const { nextPageToken: pageToken } = expectOk(await surface.invoke(list, { ...asked, pageSize: 1 }, backend));
    expect(await namesIn(tenant, { ...asked, pageToken })).toEqual(["a 1", "a 0"]);
    for (const other of [
      { type: "" },
      { namePrefix: "a " },
      { createdBy: "usr_x" },
      { unusedSince: timestampFromMs(service.clock.nowMs) },
      { states: [TokenState.ACTIVE] },
    ]) {
      expect(await surface.invoke(list, { ...asked, ...other, pageToken }, backend)).toEqual({
        ok: false,
        code: "INVALID_ARGUMENT",
        message: "page_token: must be the next_page_token of a call with the same organization and filters",
      });
    }
  });

  it("take no text that no name and no type can be", async () => {
    const { organizationId } = service.test.credentials;
    for (const [query, message] of [
      [{ namePrefix: "x".repeat(201) }, "name_prefix: must be at most 200 characters"],
      [{ type: "x".repeat(65) }, "type: must be at most 64 characters"],
      [{ unusedSince: timestampFromMs(-1) }, "unused_since: must be greater than or equal to 1970-01-01T00:00:00Z"],
    ] as const) {
      const answer = await surface.invoke(list, { organizationId, ...query }, backend);
      expect(answer).toEqual({ ok: false, code: "INVALID_ARGUMENT", message });
    }
  });
});

describe.each(PRODUCTS)("the query of %s", (product) => {
  const nameField = product === "plane" ? "label" : "name";
  const prefixField = product === "plane" ? "label_prefix" : "namePrefix";

  it("finds tokens by the product's own names", async () => {
    const tenant = await service.addTenant(product);
    const start = service.clock.nowMs;
    await tenant.issue({ [nameField]: "ключ 🔑 one" });
    await tenant.issue({ [nameField]: "ключ 🔐 two" });
    const found = async (query: Record<string, string>): Promise<readonly Json[]> => {
      const tokens = (await tenant.list(`?${new URLSearchParams(query).toString()}`)) as Json[];
      return tokens.map((token) => field(token, nameField));
    };
    const { userId } = await tenant.person("admin");
    expect(await found({ [prefixField]: "ключ 🔑" })).toEqual(["ключ 🔑 one"]);
    expect(await found({ [prefixField]: "Ключ" })).toEqual([]);
    expect(await found({ createdBy: userId, [prefixField]: "ключ 🔐" })).toEqual(["ключ 🔐 two"]);
    expect(await found({ unused_since: new Date(start + 1.5 * SECOND).toISOString() })).toEqual(["ключ 🔑 one"]);
    expect(await found({ unusedSince: new Date(start).toISOString() })).toEqual([]);
  });
});

it("the query of plane knows the type by the product's name only", async () => {
  const tenant = await service.addTenant("plane");
  await tenant.issue({ label: "one", token_type: "service" });
  await tenant.issue({ label: "two", token_type: "api_key" });
  expect(await tenant.list("?token_type=service")).toMatchObject([{ label: "one" }]);
  for (const name of ["type", "name_prefix", "namePrefix"]) {
    const answer = await tenant.call("GET", `/api-tokens?${name}=service`, { headers: await tenant.as("admin") });
    expect([answer.status, answer.json]).toEqual([400, { detail: `${name}: is not a parameter here` }]);
  }
});
