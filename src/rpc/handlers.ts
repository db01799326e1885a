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

/** One handler for every method of a service. */
export type Handlers<S extends DescService> = { readonly [Name in keyof S["method"]]: Handler<S["method"][Name]> };

/**
 * Who may call without a credential: nobody, callers of the public listener (because the call is how
 * one gets a credential), or anybody.
 */
export type OpenTo = "nobody" | "public" | "anybody";

/** A service with its handlers, as the pipeline and the transports take it. */
export interface ServiceEntry {
  readonly service: DescService;
  readonly openTo: OpenTo;
  readonly handlers: Readonly<Record<string, UnaryHandler<DescMethod> | StreamHandler<DescMethod>>>;
}

/** Ties handlers to their service with their types checked, and forgets the types. */
export function serviceEntry<S extends DescService>(service: S, openTo: OpenTo, handlers: Handlers<S>): ServiceEntry {
  return { service, openTo, handlers: handlers as ServiceEntry["handlers"] };
}
