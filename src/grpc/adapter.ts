/** Puts the pipeline's services on grpc-js. Everything that it registers comes from the descriptors. */
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { ServerInterceptingCall, type ServerOptions, type ServiceDefinition } from "@grpc/grpc-js";
import type { ServiceEntry, StreamHandler } from "../rpc/handlers.ts";
import { DialogueExchange } from "./dialogue-exchange.ts";
import type { Exchange, ExchangeDeps } from "./exchange.ts";
import { StreamExchange } from "./stream-exchange.ts";
import { UnaryExchange } from "./unary-exchange.ts";

type ServerInterceptor = NonNullable<ServerOptions["interceptors"]>[number];

/** Messages pass grpc-js as bytes: the caller must be known before anything is decoded. */
const identity = (bytes: Buffer): Buffer => bytes;

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/** The service in grpc-js's terms. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: pathOf(method),
        requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
        responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    ]),
  );
}

type Transport = ConstructorParameters<typeof Exchange>[2];

/**
 * The interceptor that answers every call to the pipeline's services.
 *
 * @param open holds the calls that aren't finished
 * @throws Error for a method without a handler, or of a kind that handlers have no shape for.
 */
export function pipelineInterceptor(deps: ExchangeDeps): ServerInterceptor {
  const routes = new Map(
    deps.pipeline.services.flatMap((entry) =>
      entry.service.methods.map((method) => [pathOf(method), exchangeOf(deps, entry, method)] as const),
    ),
  );
  return ({ path }, transport) => routes.get(path)?.(transport) ?? new ServerInterceptingCall(transport);
}

/** Makes the exchange of a call to the method. */
function exchangeOf(deps: ExchangeDeps, entry: ServiceEntry, method: DescMethod): (transport: Transport) => Exchange {
  const handler = entry.handlers[method.localName];
  const isEncoded = entry.encoded?.[method.localName] !== undefined;
  if (method.methodKind === "bidi_streaming" && isEncoded) {
    return (transport) => new DialogueExchange(deps, method, transport);
  }
  if (handler === undefined) throw new Error(`${pathOf(method)} has no handler`);
  switch (method.methodKind) {
    case "unary":
      return (transport) => new UnaryExchange(deps, method, transport);
    case "bidi_streaming":
      return (transport) => new StreamExchange(deps, method, transport, handler as StreamHandler<DescMethod>);
    case "server_streaming":
      return (transport) => new StreamExchange(deps, method, transport, handler as StreamHandler<DescMethod>);
    case "client_streaming":
      throw new Error(`${pathOf(method)}: client streaming is not supported`);
  }
}
