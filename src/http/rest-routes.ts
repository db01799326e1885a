/** The REST routes that the `google.api.http` annotations on the methods declare. */
import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../gen/google/api/http_pb.ts";
import type { ServiceEntry, UnaryHandler } from "../rpc/handlers.ts";
import { type PathValue, parameterOf } from "./rest-parameters.ts";

export interface RestRoute {
  readonly verb: string;
  /** The path as the annotation has it. */
  readonly template: string;
  readonly method: DescMethod;
  readonly handler: UnaryHandler<DescMethod>;
  /** What the body stands for: `*` for the whole message, the name of one field, or empty for no body. */
  readonly body: string;
  /** The fields that the path names, in the order of the pattern's groups. */
  readonly variables: readonly Omit<PathValue, "text">[];
  readonly pattern: RegExp;
  /** Characters of the path that are fixed. */
  readonly literalLength: number;
}

export type RestMatch =
  | { readonly route: RestRoute; readonly pathValues: readonly PathValue[] }
  /** The path is known, but not with this method. */
  | { readonly allow: readonly string[] };

export class RestRoutes {
  readonly #routes: readonly RestRoute[];

  /** @throws Error for an annotation that breaks the rules of google/api/http.proto. */
  constructor(services: readonly ServiceEntry[]) {
    this.#routes = services
      .flatMap(({ service, handlers }) =>
        service.methods
          .filter((method) => hasOption(method, http))
          .flatMap((method) => {
            const rule = getOption(method, http);
            const handler = handlers[method.localName] as UnaryHandler<DescMethod>;
            return [rule, ...rule.additionalBindings].map((binding) => compileRoute(method, handler, binding));
          }),
      )
      // Of two that match, the more literal one is meant: `/tokens/stats` before `/tokens/{id}`.
      .toSorted((one, other) => other.literalLength - one.literalLength);
  }

  /** Every route, the more literal ones first. */
  get all(): readonly RestRoute[] {
    return this.#routes;
  }

  /** Finds the route of a request. A trailing slash doesn't matter, and HEAD is GET without its body. */
  match(verb: string, path: string): RestMatch | undefined {
    const trimmed = path.replace(/(?<=.)\/$/, "");
    const matching = this.#routes.filter(({ pattern }) => pattern.test(trimmed));
    const wanted = verb === "HEAD" ? "GET" : verb;
    const route = matching.find((candidate) => candidate.verb === wanted);
    if (route !== undefined) {
      const texts = route.pattern.exec(trimmed)?.slice(1) ?? [];
      return {
        route,
        pathValues: route.variables.map((variable, index) => ({ ...variable, text: texts[index] ?? "" })),
      };
    }
    if (matching.length === 0) return undefined;
    const verbs = matching.flatMap((candidate) => (candidate.verb === "GET" ? ["GET", "HEAD"] : [candidate.verb]));
    return { allow: [...new Set(verbs)].toSorted() };
  }
}

function compileRoute(method: DescMethod, handler: UnaryHandler<DescMethod>, rule: HttpRule): RestRoute {
  const { case: kind, value } = rule.pattern;
  const [verb, template] = kind === "custom" ? [value.kind, value.path] : [kind?.toUpperCase(), value];
  const fail = (reason: string): never => {
    throw new Error(`${method.parent.typeName}/${method.name}: the HTTP rule ${verb} ${template} ${reason}`);
  };
  if (method.methodKind !== "unary") return fail("is on a streaming method");
  if (verb === undefined || template === undefined || verb === "*") return fail("names no HTTP method and path");
  if (rule.responseBody !== "") return fail("has a response_body, which profiles decide");
  if (rule.body !== "" && rule.body !== "*" && !method.input.fields.some(({ name }) => name === rule.body)) {
    return fail(`takes its body as ${rule.body}, which is not a field`);
  }
  const { pattern, variables, literalLength } = compileTemplate(template);
  return {
    verb,
    template,
    method,
    handler,
    body: rule.body,
    pattern,
    literalLength,
    variables: variables.map(({ fieldPath, spansSegments }) => {
      const parameter = parameterOf(method.input, fieldPath);
      return parameter === undefined || parameter.field.fieldKind === "list"
        ? fail(`names ${fieldPath}, which is not a field that a path can hold`)
        : { parameter, spansSegments };
    }),
  };
}

interface Template {
  readonly pattern: RegExp;
  readonly variables: readonly { readonly fieldPath: string; readonly spansSegments: boolean }[];
  readonly literalLength: number;
}

/**
 * Compiles a path template:
 *
 *     Template = "/" Segments [ Verb ]
 *     Segment  = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
 *     Verb     = ":" LITERAL
 */
function compileTemplate(template: string): Template {
  const variables: { fieldPath: string; spansSegments: boolean }[] = [];
  let literalLength = 0;
  const compile = (text: string): string =>
    text.replaceAll(
      /\{([\w.]+)(?:=([^{}]+))?\}|\*\*|\*|[^{}*]+/g,
      (token: string, fieldPath: string | undefined, inner: string | undefined) => {
        if (token === "**") return ".*";
        if (token === "*") return "[^/]+";
        if (fieldPath !== undefined) {
          const segments = inner ?? "*";
          variables.push({ fieldPath, spansSegments: segments !== "*" });
          return `(${compile(segments)})`;
        }
        literalLength += token.length;
        return RegExp.escape(token);
      },
    );
  return { pattern: new RegExp(`^${compile(template)}$`), variables, literalLength };
}
