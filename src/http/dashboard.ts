/** Serves the dashboard's files: a fixed table, read once, so that no path of a request ever reaches the disk. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { send } from "./answer.ts";
import type { Exchange } from "./exchange.ts";

const FOLDER = new URL("../../gen/web/", import.meta.url);

/** What the pages may do: run our script, look as our styles say, and call us. Nothing else, and nobody else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const PAGE_HEADERS = {
  "Content-Security-Policy": POLICY,
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  // Asked for each time, so that a new version is there at once.
  "Cache-Control": "no-cache",
};

/** Of what has its hash in its name. */
const ASSET_HEADERS = { "Cache-Control": "public, max-age=31536000, immutable" };

/** Paths of pages; the script finds out which one it is on. What isn't here isn't found. */
const PAGES = [
  /^\/(?:sign-in|register|restore-password|accept-invitation)?$/,
  /^\/o\/org_[0-9a-z]{26}\/settings\/(?:api-tokens|members|audit-log|organization|account)$/,
];

type Encoding = "br" | "gzip" | "identity";

const ENCODERS: Readonly<Record<Encoding, (bytes: Buffer) => Promise<Buffer>>> = {
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  gzip: (bytes) => promisify(gzip)(bytes, { level: 9 }),
  identity: async (bytes) => bytes,
};

class File {
  readonly headers: Readonly<Record<string, string>>;
  readonly etag: string;
  readonly #bytes: Buffer;
  /** Made when somebody asks: it takes a tenth of a second, which no start has to wait for. */
  readonly #bodies: Partial<Record<Encoding, Promise<Buffer>>> = {};

  constructor(bytes: Buffer, type: string, headers: Readonly<Record<string, string>>) {
    this.headers = { ...headers, "Content-Type": type };
    this.etag = createHash("sha256").update(bytes).digest("base64url").slice(0, 22);
    this.#bytes = bytes;
  }

  body(encoding: Encoding): Promise<Buffer> {
    return (this.#bodies[encoding] ??= ENCODERS[encoding](this.#bytes));
  }
}

export class Dashboard {
  readonly #page: File;
  readonly #assets: ReadonlyMap<string, File>;

  /** @throws Error when a file is missing: they are part of the program */
  constructor() {
    const assets = [
      ["app.js", "text/javascript; charset=utf-8"],
      ["app.css", "text/css; charset=utf-8"],
      ["icon.svg", "image/svg+xml"],
    ].map(([name = "", type = ""]) => {
      const bytes = readFileSync(new URL(name, FOLDER));
      const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
      return { name, path: `/assets/${name.replace(".", `.${hash}.`)}`, file: new File(bytes, type, ASSET_HEADERS) };
    });
    this.#assets = new Map(assets.map(({ path, file }) => [path, file]));
    const page = assets.reduce(
      (html, { name, path }) => html.replaceAll(`"/${name}"`, `"${path}"`),
      readFileSync(new URL("index.html", FOLDER), "utf8"),
    );
    this.#page = new File(Buffer.from(page), "text/html; charset=utf-8", PAGE_HEADERS);
  }

  /** Whether there is something at a path. */
  serves(path: string): boolean {
    return this.#at(path) !== undefined;
  }

  /** Answers a GET or HEAD of a path that is served. */
  async handle(exchange: Exchange): Promise<void> {
    const file = this.#at(exchange.path);
    if (file === undefined) throw new Error("not a path of the dashboard");
    const encoding = encodingFor(exchange.header("accept-encoding") ?? "");
    const headers = { ...file.headers, ETag: `"${file.etag}-${encoding}"`, Vary: "Accept-Encoding" };
    const known = (exchange.header("if-none-match") ?? "").split(/ *, */).map((tag) => tag.replace(/^W\//, ""));
    if (known.includes(headers.ETag)) return send(exchange, 304, headers, []);
    const body = await file.body(encoding);
    const encoded = encoding === "identity" ? {} : { "Content-Encoding": encoding };
    return send(exchange, 200, { ...headers, ...encoded, "Content-Length": `${body.length}` }, [body]);
  }

  #at(path: string): File | undefined {
    return this.#assets.get(path) ?? (PAGES.some((page) => page.test(path)) ? this.#page : undefined);
  }
}

/** The smallest form that the client says it takes. */
function encodingFor(accepted: string): Encoding {
  const takes = (name: string): boolean =>
    new RegExp(`(?:^|,) *${name} *(?:,|$|;(?! *q=0(?:\\.0+)? *(?:,|$)))`).test(accepted);
  return takes("br") ? "br" : takes("gzip") ? "gzip" : "identity";
}
