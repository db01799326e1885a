/** Writes each built-in product's OpenAPI document to gen/openapi, with answers of a real service as examples. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createProductDocument, PRODUCTS } from "../test/helpers/product-documents.ts";

mkdirSync("gen/openapi/examples", { recursive: true });
for (const id of PRODUCTS) {
  const { examples, document } = await createProductDocument(id);
  writeFileSync(`gen/openapi/examples/${id}.json`, `${JSON.stringify(examples, null, 2)}\n`);
  writeFileSync(`gen/openapi/${id}.json`, `${JSON.stringify(document, null, 2)}\n`);
}
