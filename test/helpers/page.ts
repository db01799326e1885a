/** A page of the dashboard, as the service sees it: calls by Connect with the cookies that a browser would keep. */
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import type { App } from "../../src/app.ts";

export interface PageAnswer<T> {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly value: T | undefined;
  readonly response: Response;
}

export class Page {
  readonly #app: App;
  readonly #headers: Readonly<Record<string, string>>;
  readonly cookies = new Map<string, string>();

  /** @param headers in place of those that a browser and our page send; an empty one is left out */
  constructor(app: App, headers: Readonly<Record<string, string>> = {}) {
    this.#app = app;
    this.#headers = {
      Origin: `http://${app.httpAddress}`,
      "Sec-Fetch-Site": "same-origin",
      "X-Latchkey-Dashboard": "1",
      ...headers,
    };
  }

  /** Another page with the same cookies. */
  with(headers: Readonly<Record<string, string>>): Page {
    const page = new Page(this.#app, headers);
    for (const [name, value] of this.cookies) page.cookies.set(name, value);
    return page;
  }

  async call<M extends DescMethodUnary>(
    method: M,
    request: MessageInitShape<M["input"]>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<PageAnswer<MessageShape<M["output"]>>> {
    const cookie = Array.from(this.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const all = { "Content-Type": "application/json", Cookie: cookie, ...this.#headers, ...headers };
    const response = await fetch(`http://${this.#app.httpAddress}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: Object.entries(all).filter(([, value]) => value !== ""),
      body: JSON.stringify(toJson(method.input, create(method.input, request))),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const body = (await response.json()) as { code?: string; message?: string };
    const value = response.ok ? (fromJson(method.output, body as never) as MessageShape<M["output"]>) : undefined;
    return { status: response.status, code: body.code ?? "ok", message: body.message ?? "", value, response };
  }

  #keep(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/Max-Age=0(?:;|$)/.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
