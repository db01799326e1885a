/** One HTTP request and the answer that it is to get. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { AppError } from "../domain/errors.ts";
import type { Call, HttpRoute, IncomingCall } from "../rpc/call.ts";
import { type Pipeline, requestIdOf } from "../rpc/pipeline.ts";
import { STATUS, type Status } from "../rpc/status.ts";

/** A body up to this size is read and thrown away so that the connection can go on; a larger one ends it. */
const DISCARDABLE_BYTES = 64 * 1024;

/** Why work on an exchange ends when its connection does. One for all: nobody reads where it was made. */
export const CALLER_GONE = new AppError("cancelled", "The caller gave the call up.");

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Address of the client, without its port. */
  readonly peer: string;
  /** The part of the target before `?`, as sent. */
  readonly path: string;
  /** The part of the target after `?`, as sent. */
  readonly query: string;
  readonly requestId: string;
  /** Whether the client holds its body back until it is asked for it. */
  #awaitsContinue: boolean;
  readonly #work = new AbortController();
  readonly #onClose = new Set<() => void>();
  #isClosed = false;

  constructor(request: IncomingMessage, response: ServerResponse, peer: string, awaitsContinue: boolean) {
    this.request = request;
    this.response = response;
    this.peer = peer;
    this.#awaitsContinue = awaitsContinue;
    // Proxies may send the absolute form, `GET http://host/path` (RFC 9112, section 3.2.2).
    const target = (request.url ?? "").replace(/^https?:\/\/[^/?#]*/i, "");
    const [path = "", ...query] = target.split("?");
    this.path = path;
    this.query = query.join("?");
    this.requestId = requestIdOf(this.header("x-request-id"));
  }

  /** Whether it came over TLS to this process itself. */
  get isTls(): boolean {
    return this.request.socket instanceof TLSSocket;
  }

  /** Aborts, with an AppError, when nobody waits for the answer or there is no more time to make one. */
  get signal(): AbortSignal {
    return this.#work.signal;
  }

  /** A header's value. One that was sent several times comes joined, so that a second credential spoils the first. */
  header(name: string): string | undefined {
    return this.request.headersDistinct[name]?.join(", ");
  }

  abort(reason: AppError): void {
    this.#work.abort(reason);
  }

  /** Runs `listener` once when the connection is done with this exchange, at once if it is already. */
  onClose(listener: () => void): void {
    if (this.#isClosed) listener();
    else this.#onClose.add(listener);
  }

  offClose(listener: () => void): void {
    this.#onClose.delete(listener);
  }

  /** The server calls it when the answer is out or the connection is gone. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.abort(CALLER_GONE);
    for (const listener of this.#onClose) listener();
    this.#onClose.clear();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Asks the client for its body, where it waits for that. */
  askForBody(): void {
    if (this.#awaitsContinue) this.response.writeContinue();
    this.#awaitsContinue = false;
  }

  /** The length that the request names for its body; undefined when it sends one without naming it. */
  get declaredBytes(): number | undefined {
    return this.request.headers["transfer-encoding"] === undefined
      ? Number(this.request.headers["content-length"] ?? 0)
      : undefined;
  }

  /** Whether a body is still to come that is too much to read just to throw it away. */
  get leavesBodyUnread(): boolean {
    if (this.request.complete) return false;
    // A client that was never asked for its body may or may not send it, and the next request would start inside.
    const discardable = this.#awaitsContinue ? 0 : DISCARDABLE_BYTES;
    return (this.declaredBytes ?? Number.POSITIVE_INFINITY) > discardable;
  }
}

/** A call in the pipeline that came by HTTP. */
export interface HttpCall {
  readonly call: Call;
  /** Says how the call went. The last word counts, and is logged once the exchange is over. */
  readonly settle: (outcome: AppError | Status) => void;
}

/** What of a call its protocol knows. */
export type HttpCallKind = Pick<IncomingCall, "method" | "protocol" | "browser"> & {
  /** Of the REST route that the call came by. */
  readonly template?: string;
};

export function openCall(
  pipeline: Pipeline,
  exchange: Exchange,
  { method, protocol, browser, template }: HttpCallKind,
): HttpCall {
  const call = pipeline.open({
    method,
    protocol,
    surface: "public",
    peer: exchange.peer,
    browser,
    route: template === undefined ? undefined : routeOf(exchange, template),
    header: (name) => (name === "x-request-id" ? exchange.requestId : exchange.header(name)),
  });
  // What it stays when the client leaves before there is anything to say.
  let outcome: AppError | Status = STATUS.cancelled;
  exchange.onClose(() => pipeline.finish(call, outcome));
  return {
    call,
    settle: (settled) => {
      outcome = settled;
    },
  };
}

function routeOf({ request, response }: Exchange, template: string): HttpRoute {
  const answeredStatus = (): number | undefined => (response.headersSent ? response.statusCode : undefined);
  return { verb: request.method ?? "", template, answeredStatus };
}
