/**
 * The two addresses by which a browser goes to another service that says who its person is, and comes back. They are
 * plain links, so a page needs no script for them.
 */
import { create, type DescMethod, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import type { ServiceEntry, UnaryHandler } from "../rpc/handlers.ts";
import { type Pipeline, statusOf } from "../rpc/pipeline.ts";
import { OK } from "../rpc/status.ts";
import { send } from "./answer.ts";
import { browserAt } from "./browser.ts";
import { type Exchange, openCall } from "./exchange.ts";

const PATH = /^\/sign-in\/with\/([a-z][a-z0-9-]{0,31})(\/callback)?$/;
const TEMPLATE = "/sign-in/with/{provider}";

const { beginProviderSignIn, finishProviderSignIn } = DashboardService.method;

export interface ProviderSignInDeps {
  readonly pipeline: Pipeline;
  readonly services: readonly ServiceEntry[];
  /** Where people find the dashboard, without a slash at the end; undefined serves nothing. */
  readonly publicUrl: string | undefined;
}

export class ProviderSignIn {
  readonly #pipeline: Pipeline;
  readonly #publicUrl: string | undefined;
  readonly #handlers: ServiceEntry["handlers"];

  constructor({ pipeline, services, publicUrl }: ProviderSignInDeps) {
    this.#pipeline = pipeline;
    this.#publicUrl = publicUrl;
    this.#handlers = services.find(({ service }) => service === DashboardService)?.handlers ?? {};
  }

  serves(path: string): boolean {
    return this.#publicUrl !== undefined && PATH.test(path);
  }

  /** Answers a GET of a path that it serves with where to go next, or a page that says what went wrong. */
  async handle(exchange: Exchange): Promise<void> {
    const [, provider = "", callback] = PATH.exec(exchange.path) ?? [];
    if (callback === undefined) {
      return this.#answer(exchange, beginProviderSignIn, { provider }, TEMPLATE, ({ url }) => url);
    }
    const query = new URLSearchParams(exchange.query);
    const value = (name: string): string => query.get(name) ?? "";
    const request = {
      provider,
      code: value("code"),
      state: value("state"),
      issuer: value("iss"),
      error: value("error"),
    };
    return this.#answer(exchange, finishProviderSignIn, request, `${TEMPLATE}/callback`, () => `${this.#publicUrl}/`);
  }

  async #answer<M extends DescMethod>(
    exchange: Exchange,
    method: M,
    request: MessageInitShape<M["input"]>,
    template: string,
    next: (response: MessageShape<M["output"]>) => string,
  ): Promise<void> {
    // A browser says no origin when it follows a link; the cookie is bound to where its page is known to be.
    const browser = browserAt(exchange, exchange.isTls || this.#publicUrl?.startsWith("https:") === true);
    const { call, settle } = openCall(this.#pipeline, exchange, { method, protocol: "rest", template, browser });
    const handler = this.#handlers[method.localName] as UnaryHandler<DescMethod>;
    try {
      const control = { signal: exchange.signal, timeoutMs: undefined };
      const message = create(method.input, request);
      const response = (await this.#pipeline.unary(call, handler, message, control)) as MessageShape<M["output"]>;
      settle(OK);
      await send(exchange, 303, { Location: next(response) }, []);
    } catch (thrown) {
      const error = this.#pipeline.toError(call, thrown);
      settle(error);
      const page = Buffer.from(problemPage(error.message, `${this.#publicUrl}/sign-in`));
      const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Length": `${page.length}` };
      await send(exchange, statusOf(error).http, headers, [page]);
    }
  }
}

function problemPage(message: string, back: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign-in</title>
<p>${escaped(message)}</p>
<p><a href="${escaped(back)}">Back to the sign-in</a></p>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
