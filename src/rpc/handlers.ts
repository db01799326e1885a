/** The shape of an RPC's implementation, the same for every protocol. */
import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Call } from "./call.ts";

export type UnaryHandler<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  call: Call,
) => Promise<MessageInitShape<M["output"]>>;

/** Also serves bidirectional methods; a server-streaming method gets exactly one request. */
export type StreamHandler<M extends DescMethod> = (
  requests: AsyncIterable<MessageShape<M["input"]>>,
  call: Call,
  signal: AbortSignal,
) => AsyncIterable<MessageInitShape<M["output"]>>;

export type Handler<M extends DescMethod> = M["methodKind"] extends "unary" ? UnaryHandler<M> : StreamHandler<M>;

type BidiNames<S extends DescService> = {
  [Name in keyof S["method"]]: S["method"][Name]["methodKind"] extends "bidi_streaming" ? Name : never;
}[keyof S["method"]];

/** One handler for every method of a service. A bidirectional one may be a dialogue of encoded messages instead. */
export type Handlers<S extends DescService> = {
  readonly [Name in Exclude<keyof S["method"], BidiNames<S>>]: Handler<S["method"][Name]>;
} & { readonly [Name in BidiNames<S>]?: Handler<S["method"][Name]> };

/**
 * A method's implementation on encoded messages, which answers as its handler would, at a lower price: at once
 * and without a promise where it can. Of a bidirectional method it answers each message by itself.
 */
export type EncodedHandler = (request: Buffer, call: Call) => Buffer | Promise<Buffer>;

/**
 * Who may call without a credential: nobody, callers of the public listener (because the call is how
 * one gets a credential), or anybody.
 */
export type OpenTo = "nobody" | "public" | "anybody";

/** A service with its handlers, as the pipeline and the transports take it. */
export interface ServiceEntry {
  readonly service: DescService;
  readonly openTo: OpenTo | ((method: DescMethod) => OpenTo);
  readonly handlers: Readonly<Record<string, UnaryHandler<DescMethod> | StreamHandler<DescMethod>>>;
  /** For transports that have the messages as protobuf bytes. */
  readonly encoded?: Readonly<Record<string, EncodedHandler>>;
}

/** Ties handlers to their service with their types checked, and forgets the types. */
export function serviceEntry<S extends DescService>(
  service: S,
  openTo: ServiceEntry["openTo"],
  handlers: Handlers<S>,
  encoded: { readonly [Name in keyof S["method"]]?: EncodedHandler } = {},
): ServiceEntry {
  return {
    service,
    openTo,
    handlers: handlers as ServiceEntry["handlers"],
    encoded: encoded as Record<string, EncodedHandler>,
  };
}
