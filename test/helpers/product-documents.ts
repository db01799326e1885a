/** The OpenAPI documents of the built-in products, with examples that a real service answered. */
import type { JsonObject } from "@bufbuild/protobuf";
import { AuthService, UserService } from "../../gen/latchkey/v1/auth_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { openApiDocument } from "../../src/http/openapi.ts";
import { RestRoutes } from "../../src/http/rest-routes.ts";
import { loadProfiles } from "../../src/profiles/load-profiles.ts";
import { type StoryExamples, tellStory } from "./product-story.ts";

const profiles = loadProfiles(undefined);

export const PRODUCTS: readonly string[] = profiles.offered.map(({ id }) => id);

export async function createProductDocument(
  id: string,
): Promise<{ readonly examples: StoryExamples; readonly document: JsonObject }> {
  const profile = profiles.get(id);
  if (profile === undefined) throw new Error(`no profile ${id}`);
  const examples = await tellStory(id);
  const services = [TokenService, AuthService, UserService].map((service) => ({
    service,
    openTo: "nobody" as const,
    handlers: {},
  }));
  return { examples, document: openApiDocument(profile, new RestRoutes(services).all, examples) };
}
