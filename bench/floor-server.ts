/** The floors: the least that a call can cost on each stack. `node bench/floor-server.ts http2|grpc|connect` */
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { keepTickShape } from "../src/tick-shape.ts";

// Or it would be chance that a floor is as low as it can be.
keepTickShape();

const METHOD = "/latchkey.v1.IntrospectionService/Introspect";
const kind = process.argv[2];
// Whoever measures is gone.
process.on("disconnect", () => process.exit());

/** A stream with a fixed answer: what HTTP/2 itself costs in Node. */
function http2Floor(): void {
  const answer = Buffer.alloc(5);
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.resume();
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(answer);
    });
  });
  server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));
}

/** A unary method whose messages are empty, as anybody would write it with protobuf-es. */
function grpcFloor(): void {
  const server = new Server();
  server.addService(
    {
      empty: {
        path: METHOD,
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: unknown) => Buffer.from(toBinary(EmptySchema, message as never)),
        requestDeserialize: (bytes: Buffer) => fromBinary(EmptySchema, bytes),
        responseSerialize: (message: unknown) => Buffer.from(toBinary(EmptySchema, message as never)),
        responseDeserialize: (bytes: Buffer) => fromBinary(EmptySchema, bytes),
      },
    },
    {
      empty: (_call: unknown, callback: (error: null, value: unknown) => void) => callback(null, create(EmptySchema)),
    },
  );
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    announce({ address: "127.0.0.1", port });
  });
}

/** The same through Connect's gRPC over HTTP/2. */
function connectFloor(): void {
  const handler = connectNodeAdapter({
    routes: (router) => router.service(IntrospectionService, { introspect: () => ({}) }),
  });
  const server = createServer({}, handler as never);
  server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));
}

function announce({ address, port }: Pick<AddressInfo, "address" | "port">): void {
  process.send?.({ address: `${address}:${port}` });
}

switch (kind) {
  case "http2":
    http2Floor();
    break;
  case "grpc":
    grpcFloor();
    break;
  case "connect":
    connectFloor();
    break;
  default:
    throw new Error(`no floor is called ${kind}`);
}
