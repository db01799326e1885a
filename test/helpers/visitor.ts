/** A person's browser: it follows links and redirects, and keeps the cookies of each host. */
import type { App } from "../../src/app.ts";

interface Cookie {
  readonly value: string;
  readonly path: string;
}

export interface Visit {
  readonly status: number;
  readonly url: string;
  readonly text: string;
  /** Each address on the way here, the last one included. */
  readonly way: readonly string[];
}

const MAX_STEPS = 20;

export class Visitor {
  readonly #app: App;
  readonly #publicUrl: string;
  readonly #jars = new Map<string, Map<string, Cookie>>();

  /** @param publicUrl where the app is for the browser: a proxy with TLS would stand there */
  constructor(app: App, publicUrl: string) {
    this.#app = app;
    this.#publicUrl = publicUrl;
  }

  /** The cookies that the app's host has set. */
  get cookies(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#jar(this.#publicUrl), ([name, { value }]) => [name, value]));
  }

  /** Opens an address and follows it to its end, or to the first address that `until` stops at. */
  async open(start: string, until: (url: string) => boolean = () => false): Promise<Visit> {
    const way: string[] = [];
    let url = new URL(start, this.#publicUrl).href;
    for (let step = 0; step < MAX_STEPS; step++) {
      way.push(url);
      if (until(url)) return { status: 0, url, text: "", way };
      const response = await this.#get(url);
      const location = response.headers.get("location");
      const text = await response.text();
      if (location === null) return { status: response.status, url, text, way };
      url = new URL(location, url).href;
    }
    throw new Error(`no end of redirects: ${way.join(" → ")}`);
  }

  async #get(url: string): Promise<Response> {
    const { pathname } = new URL(url);
    const sent = Array.from(this.#jar(url))
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`);
    const target = url.startsWith(this.#publicUrl)
      ? url.replace(this.#publicUrl, `http://${this.#app.httpAddress}`)
      : url;
    const response = await fetch(target, { redirect: "manual", headers: { cookie: sent.join("; ") } });
    for (const line of response.headers.getSetCookie()) {
      const [pair = "", ...attributes] = line.split(/; */);
      const [, name = "", value = ""] = /^([^=]+)=(.*)$/.exec(pair) ?? [];
      const path = /^path=(.*)$/i.exec(attributes.find((one) => /^path=/i.test(one)) ?? "")?.[1] ?? "/";
      const isOver = attributes.some((one) => /^max-age=0$/i.test(one) || /^expires=.* 1970 /i.test(one));
      if (isOver) this.#jar(url).delete(name);
      else this.#jar(url).set(name, { value, path });
    }
    return response;
  }

  #jar(url: string): Map<string, Cookie> {
    const { host } = new URL(url);
    const jar = this.#jars.get(host) ?? new Map<string, Cookie>();
    this.#jars.set(host, jar);
    return jar;
  }
}
