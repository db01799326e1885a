/**
 * Takes unary calls and dialogues before grpc-js makes calls of them: what most methods do is less than grpc-js's own
 * work would be. What is unusual about a call before its first message (compression, a deadline that can't be read)
 * is left to grpc-js; everything else is as in its exchanges.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import type { DirectCall, DirectCallDeps } from "./direct-call.ts";
import { DirectDialogue } from "./direct-dialogue.ts";
import { DirectUnary } from "./direct-unary.ts";
import type { StreamTaker } from "./stream-server.ts";
import { readTimeout } from "./timeout-header.ts";

type NewCall = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, timeoutMs: number) => DirectCall;

/** Takes the calls of the methods that can be answered so. */
export function directCalls(deps: DirectCallDeps): StreamTaker {
  const makers = new Map<string, NewCall>();
  for (const { service, encoded = {} } of deps.pipeline.services) {
    for (const method of service.methods) {
      const make = makerOf(deps, method, encoded[method.localName] !== undefined);
      if (make !== undefined) makers.set(`/${method.parent.typeName}/${method.name}`, make);
    }
  }
  return (stream, headers) => {
    const make = makers.get(headers[":path"] ?? "");
    if (make === undefined || !isUsual(headers)) return false;
    const timeout = headers["grpc-timeout"];
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : readTimeout(String(timeout));
    if (timeoutMs === undefined) return false;
    make(stream, headers, timeoutMs).begin();
    return true;
  };
}

function makerOf(deps: DirectCallDeps, method: DescMethod, isEncoded: boolean): NewCall | undefined {
  if (method.methodKind === "unary") {
    return (stream, headers, timeoutMs) => new DirectUnary(deps, method, stream, headers, timeoutMs);
  }
  if (method.methodKind === "bidi_streaming" && isEncoded) {
    return (stream, headers, timeoutMs) => new DirectDialogue(deps, method, stream, headers, timeoutMs);
  }
  return undefined;
}

function isUsual(headers: IncomingHttpHeaders): boolean {
  const encoding = headers["grpc-encoding"];
  return (
    headers[":method"] === "POST" &&
    headers["content-type"]?.startsWith("application/grpc") === true &&
    (encoding === undefined || encoding === "identity")
  );
}
