/** A connection's streams in arrays are to Node what they were in its own lists. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createListener } from "node:net";
import { ServerCredentials } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FewEntries, listStreamsInArrays } from "../../src/grpc/stream-lists.ts";
import { serverWithStreams } from "../../src/grpc/stream-server.ts";

const step = fc.record({ does: fc.constantFrom("set", "add", "delete"), key: fc.nat({ max: 8 }), value: fc.nat() });

describe("few entries", () => {
  it("are the same as those of a Map, in any order", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const few = new FewEntries<number, number>();
        const map = new Map<number, number>();
        for (const { does, key, value } of steps) {
          if (does === "set") {
            few.set(key, value);
            map.set(key, value);
          } else if (does === "add") {
            few.add(key);
            map.set(key, key);
          } else {
            expect(few.delete(key)).toBe(map.delete(key));
          }
          const all: [number, number][] = [];
          few.forEach((one, itsKey) => all.push([itsKey, one]));
          expect(new Map(all)).toEqual(map);
          expect(few.size).toBe(map.size);
          expect(few.get(key)).toBe(map.get(key));
        }
      }),
    );
  });

  it("leave out of a round what is deleted in it", () => {
    const few = new FewEntries<string, string>().add("first").add("second").add("third");
    const seen: string[] = [];
    few.forEach((one) => {
      seen.push(one);
      few.delete("second");
    });
    expect(seen).toEqual(["first", "third"]);
  });
});

interface Connection extends AsyncDisposable {
  readonly client: ClientHttp2Session;
  readonly session: ServerHttp2Session;
  readonly streams: ServerHttp2Stream[];
  readonly isListed: boolean;
}

/** A real connection with so many open streams, in Node's own lists if they aren't to be taken over. */
async function openConnection(count: number, takesOver = true): Promise<Connection> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const streams: ServerHttp2Stream[] = [];
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    streams.push(stream);
  });
  const began = once(server, "session") as Promise<[ServerHttp2Session]>;
  let isListed = false;
  server.prependListener("session", (session) => {
    if (takesOver) isListed = listStreamsInArrays(session);
  });
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on("error", () => {});
  const [session] = await began;
  for (let index = 0; index < count; index++) {
    const arrived = once(server, "stream");
    client.request({ ":path": `/${index}` }).on("error", () => {});
    await arrived;
  }
  return {
    client,
    session,
    streams,
    isListed,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe("a connection of this Node", () => {
  it("has its streams where they are taken from", async () => {
    await using connection = await openConnection(0);
    expect(connection.isListed).toBe(true);
  });

  it("isn't touched once it has streams", async () => {
    await using connection = await openConnection(1, false);
    expect(listStreamsInArrays(connection.session)).toBe(false);
    await using unused = await openConnection(0, false);
    expect(listStreamsInArrays(unused.session)).toBe(true);
  });

  it("has them in arrays where grpc-js serves it", async () => {
    const taken = Promise.withResolvers<ServerHttp2Session | undefined>();
    const server = serverWithStreams({ "grpc.enable_channelz": 0 }, (stream) => {
      taken.resolve(stream.session as ServerHttp2Session);
      stream.respond({ ":status": 204 }, { endStream: true });
      return true;
    });
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const listener = createListener((socket) => injector.injectConnection(socket)).listen(0, "127.0.0.1");
    await once(listener, "listening");
    const client = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`);
    await once(client.request({ ":path": "/" }), "response");
    const session = await taken.promise;
    const lists = Object.getOwnPropertySymbols(session).map((key) => Reflect.get(session ?? {}, key) as object);
    expect(lists).toContainEqual(expect.objectContaining({ streams: expect.any(FewEntries) as unknown }));
    client.destroy();
    server.forceShutdown();
    listener.close();
  });

  it("answers each of several streams, and stays open between them", async () => {
    await using connection = await openConnection(3);
    const { client, session, streams } = connection;
    for (const stream of streams.toReversed()) {
      stream.respond({ ":status": 204 }, { endStream: true });
      await once(stream.resume(), "close");
    }
    const again = client.request({ ":path": "/again" });
    const [response] = await Promise.all([once(again, "response"), answerNext(session, 204)]);
    expect(response[0]).toMatchObject({ ":status": 204 });
  });

  it("closes when the last of its streams has ended, and not before", async () => {
    await using connection = await openConnection(2);
    const { session, streams } = connection;
    session.close();
    const [first, second] = streams;
    const ended: string[] = [];
    const over = Promise.all([
      once(first as ServerHttp2Stream, "close").then(() => ended.push("first")),
      once(second as ServerHttp2Stream, "close").then(() => ended.push("second")),
      once(session, "close").then(() => ended.push("session")),
    ]);
    for (const stream of streams) {
      stream.respond({ ":status": 204 }, { endStream: true });
      await once(stream.resume(), "close");
    }
    await over;
    expect(ended).toEqual(["first", "second", "session"]);
  });

  it.each<[string, (connection: Connection) => void]>([
    ["it is destroyed", ({ session }) => session.destroy()],
    ["its client is gone", ({ client }) => client.destroy()],
  ])("ends all of its streams when %s", async (_, end) => {
    await using connection = await openConnection(5);
    const ended = connection.streams.map((stream) => once(stream, "close"));
    end(connection);
    await Promise.all(ended);
    expect(connection.streams.every(({ destroyed }) => destroyed)).toBe(true);
  });
});

async function answerNext(session: ServerHttp2Session, status: number): Promise<void> {
  const [stream] = (await once(session, "stream")) as [ServerHttp2Stream];
  stream.respond({ ":status": status }, { endStream: true });
}
