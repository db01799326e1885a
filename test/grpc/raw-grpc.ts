/** gRPC by hand over HTTP/2: for what a well-behaved client would never send. */
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";

export interface RawAnswer {
  readonly header: IncomingHttpHeaders;
  /** The trailers; those of the header when the answer is nothing else. */
  readonly trailer: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One length-prefixed message. */
export function frame(message: Uint8Array, flags: 0 | 1 = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

/**
 * Makes one call on a connection of its own.
 *
 * @param request.body what to send; undefined sends nothing and leaves the request open
 * @param request.onSent called once the headers are with the server
 */
export async function rawCall(
  address: string,
  request: {
    readonly path: string;
    readonly headers?: OutgoingHttpHeaders;
    readonly body?: Uint8Array;
    readonly onSent?: () => void;
  },
): Promise<RawAnswer> {
  const session = connect(`http://${address}`);
  try {
    return await new Promise<RawAnswer>((resolve, reject) => {
      session.on("error", reject);
      const stream = session.request(
        {
          ":method": "POST",
          ":path": request.path,
          "content-type": "application/grpc",
          te: "trailers",
          ...request.headers,
        },
        { endStream: false },
      );
      if (request.body) stream.end(request.body);
      // A ping comes back after the server has read everything that was sent before it.
      stream.on("ready", () => session.ping(() => request.onSent?.()));
      let header: IncomingHttpHeaders = {};
      let trailer: IncomingHttpHeaders | undefined;
      const chunks: Buffer[] = [];
      stream.on("response", (headers) => (header = headers));
      stream.on("trailers", (headers: IncomingHttpHeaders) => (trailer = headers));
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("end", () => resolve({ header, trailer: trailer ?? header, body: Buffer.concat(chunks) }));
    });
  } finally {
    session.destroy();
  }
}
