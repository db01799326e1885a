/** Serves each product's OpenAPI document, made once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Profile } from "../domain/profile.ts";
import type { Products } from "../rpc/product.ts";
import { type Examples, openApiDocument } from "./openapi.ts";
import type { RestRoute } from "./rest-routes.ts";

const EXAMPLES_DIRECTORY = join(import.meta.dirname, "../../gen/openapi/examples");

export class OpenApiDocuments {
  readonly #routes: readonly RestRoute[];
  readonly #products: Products;
  readonly #made = new Map<Profile, JsonObject>();

  constructor(routes: readonly RestRoute[], products: Products) {
    this.#routes = routes;
    this.#products = products;
  }

  /**
   * The document at a path: `/openapi.json` is that of the product that the request seems to be about,
   * `/openapi/<profile>.json` that of the profile. Undefined for any other path.
   */
  at(path: string, product: Profile): JsonObject | undefined {
    const id = /^\/openapi(?:\/([a-z0-9-]+))?\.json$/.exec(path);
    if (id === null) return undefined;
    const profile = id[1] === undefined ? product : this.#products.profiles.offered.find((one) => one.id === id[1]);
    return profile && this.#of(profile);
  }

  #of(profile: Profile): JsonObject {
    const known = this.#made.get(profile);
    if (known !== undefined) return known;
    const document = openApiDocument(profile, this.#routes, readExamples(profile));
    this.#made.set(profile, document);
    return document;
  }
}

/** Built-in profiles have examples; a company's own don't. */
function readExamples({ id }: Profile): Examples {
  try {
    return JSON.parse(readFileSync(join(EXAMPLES_DIRECTORY, `${id}.json`), "utf8")) as Examples;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}
