/** The OpenAPI documents: valid, served, and true in every example. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { createProductDocument, PRODUCTS } from "../helpers/product-documents.ts";
import { startTestApp } from "../helpers/test-app.ts";

const GEN = join(import.meta.dirname, "../../gen/openapi");
const readJson = async (file: string): Promise<unknown> =>
  JSON.parse(await readFile(join(GEN, file), "utf8")) as unknown;

describe.each(PRODUCTS)("the document of %s", (id) => {
  it("is committed as it is made, with examples that the service really answered", async () => {
    const { examples, document } = await createProductDocument(id);
    expect(await readJson(`examples/${id}.json`)).toEqual(examples);
    expect(await readJson(`${id}.json`)).toEqual(document);
    const text = JSON.stringify(document);
    for (const example of Object.values(examples)) expect(text).toContain(JSON.stringify(example));
    expect(Object.keys(examples).length).toBeGreaterThanOrEqual(14);
  });

  it("is valid OpenAPI 3.1", async () => {
    const document = (await readJson(`${id}.json`)) as Record<string, unknown>;
    const validator = new Validator();
    const result = await validator.validate(structuredClone(document));
    expect(result).toMatchObject({ valid: true });
    expect(validator.version).toBe("3.1");
    const broken = { ...document, info: {} };
    expect(await new Validator().validate(broken)).toMatchObject({ valid: false });
  });

  it("is served as committed, by name, by host and by default", async () => {
    await using byHost = await startTestApp({ env: { LATCHKEY_HOST_PROFILES: `api.example.com=${id}` } });
    const document = await readJson(`${id}.json`);
    const base = `http://${byHost.app.httpAddress}`;
    expect(await (await fetch(`${base}/openapi/${id}.json`)).json()).toEqual(document);
    await using byDefault = await startTestApp({ env: { LATCHKEY_PROFILE: id } });
    expect(await (await fetch(`http://${byDefault.app.httpAddress}/openapi.json`)).json()).toEqual(document);
  });
});

it("there is none of a profile that doesn't exist, nor of service keys", async () => {
  await using test = await startTestApp();
  for (const id of ["nope", "latchkey"]) {
    expect((await fetch(`http://${test.app.httpAddress}/openapi/${id}.json`)).status).toBe(404);
  }
  const posted = await fetch(`http://${test.app.httpAddress}/openapi.json`, { method: "POST" });
  expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});
