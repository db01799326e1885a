/**
 * A grpc-js server that offers each HTTP/2 stream to somebody else before it makes a call of it. There is no public
 * hook before that, nor for its connections, so two of its methods are replaced.
 */
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { Server, type ServerOptions } from "@grpc/grpc-js";
import { listStreamsInArrays } from "./stream-lists.ts";

/** Takes a stream, or leaves it to grpc-js and answers false. */
export type StreamTaker = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

/** What grpc-js keeps to itself, as far as it is used here. */
interface Internals {
  /** Makes what takes a listener's connections. */
  _sessionHandler?: (listener: Http2Server) => (session: ServerHttp2Session) => void;
  _streamHandler?: (interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  /** Counts the connection's open streams, so that it isn't closed as idle meanwhile. */
  onStreamOpened?: (stream: ServerHttp2Stream) => void;
}

/** Must be made before the server takes connections. */
export function serverWithStreams(options: ServerOptions, take: StreamTaker): Server {
  const server = new Server(options);
  const internals = server as unknown as Internals;
  const { _sessionHandler: beginnerOf, _streamHandler: handle, onStreamOpened } = internals;
  if (beginnerOf === undefined || handle === undefined || onStreamOpened === undefined) {
    throw new Error("grpc-js no longer handles connections and streams where they are taken");
  }
  internals._sessionHandler = (listener) => {
    const begin = beginnerOf.call(server, listener);
    return (session) => {
      listStreamsInArrays(session);
      begin.call(server, session);
    };
  };
  internals._streamHandler = (interceptors, stream, headers) => {
    if (take(stream, headers)) onStreamOpened.call(server, stream);
    else handle.call(server, interceptors, stream, headers);
  };
  return server;
}
