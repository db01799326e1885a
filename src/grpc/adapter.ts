/** Puts the pipeline's services on grpc-js. Everything that it registers comes from the descriptors. */
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { ServerInterceptingCall, type ServerOptions, type ServiceDefinition } from "@grpc/grpc-js";
import type { ServiceEntry, StreamHandler, UnaryHandler } from "../rpc/handlers.ts";
import type { Pipeline } from "../rpc/pipeline.ts";
import { Exchange, type Route } from "./exchange.ts";

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

/**
 * The interceptor that answers every call to the pipeline's services.
 *
 * @param open holds the calls that aren't finished
 * @throws Error for a method without a handler, or of a kind that handlers have no shape for.
 */
export function pipelineInterceptor(pipeline: Pipeline, open: Set<Exchange>): ServerInterceptor {
  const routes = new Map(
    pipeline.services.flatMap((entry) =>
      entry.service.methods.map((method) => [pathOf(method), routeTo(entry, method)] as const),
    ),
  );
  return ({ path }, transport) => {
    const route = routes.get(path);
    return route ? new Exchange(pipeline, route, transport, open) : new ServerInterceptingCall(transport);
  };
}

function routeTo({ handlers }: ServiceEntry, method: DescMethod): Route {
  const handler = handlers[method.localName];
  if (handler === undefined) throw new Error(`${pathOf(method)} has no handler`);
  switch (method.methodKind) {
    case "unary":
      return { kind: method.methodKind, method, handler: handler as UnaryHandler<DescMethod> };
    case "server_streaming":
    case "bidi_streaming":
      return { kind: method.methodKind, method, handler: handler as StreamHandler<DescMethod> };
    case "client_streaming":
      throw new Error(`${pathOf(method)}: client streaming is not supported`);
  }
}
