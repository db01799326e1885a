/** Ports of this machine for who must know his before he listens. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** From here up, systems choose ports by themselves: for connections, and for who listens on port 0. */
const FIRST_EPHEMERAL_PORT = 32_768;
const FIRST_PORT = 10_000;

/** A port of this machine that nobody listens on, nor will by chance before it is used, or used again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_EPHEMERAL_PORT);
    const listener = createServer().listen(port, "127.0.0.1");
    try {
      await once(listener, "listening");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") continue;
      throw error;
    }
    listener.close();
    await once(listener, "close");
    return port;
  }
}
