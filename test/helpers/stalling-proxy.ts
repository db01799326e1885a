/** A network between a service and its database, that can stop carrying anything without closing a connection. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface StallingProxy extends AsyncDisposable {
  /** The same URL, by way of the proxy. */
  readonly url: string;
  /** From now on nothing gets through, either way, and new connections are taken but not served. */
  stall(): void;
  /** Everything gets through again; what was cut off in between is closed, as it is when a host comes back. */
  heal(): void;
  /** Everything gets through again, late, as it does when a network comes back. */
  flow(): void;
}

/** @param url of the database */
export async function stallingProxy(url: string): Promise<StallingProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let isStalled = false;
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
      if (isStalled) socket.pause();
    }
    near.on("data", (data) => void far.write(data));
    far.on("data", (data) => void near.write(data));
    if (isStalled) for (const socket of [near, far]) socket.pause();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const proxied = new URL(url);
  proxied.hostname = "127.0.0.1";
  proxied.port = String(address.port);
  return {
    url: proxied.href,
    stall() {
      isStalled = true;
      for (const socket of sockets) socket.pause();
    },
    heal() {
      isStalled = false;
      for (const socket of sockets) socket.destroy();
    },
    flow() {
      isStalled = false;
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
