/** A connection's streams in arrays are to Node what they were in its own lists. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FewEntries, listStreamsInArrays } from "../../src/grpc/stream-lists.ts";

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

/** A real connection with so many open streams. */
async function openConnection(count: number): Promise<Connection> {
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
    isListed = listStreamsInArrays(session);
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
    await using connection = await openConnection(1);
    expect(listStreamsInArrays(connection.session)).toBe(false);
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

  it("ends all of its streams when it is destroyed", async () => {
    await using connection = await openConnection(5);
    const ended = connection.streams.map((stream) => once(stream, "close"));
    connection.session.destroy();
    await Promise.all(ended);
    expect(connection.streams.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it("ends all of its streams when its client is gone", async () => {
    await using connection = await openConnection(5);
    const ended = connection.streams.map((stream) => once(stream, "close"));
    connection.client.destroy();
    await Promise.all(ended);
    expect(connection.streams.every(({ destroyed }) => destroyed)).toBe(true);
  });
});

async function answerNext(session: ServerHttp2Session, status: number): Promise<void> {
  const [stream] = (await once(session, "stream")) as [ServerHttp2Stream];
  stream.respond({ ":status": status }, { endStream: true });
}
