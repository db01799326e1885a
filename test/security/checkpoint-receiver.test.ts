/** Posting checkpoints to a server that takes them, and to ones that don't. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { createCheckpointReceiver } from "../../src/security/checkpoint-receiver.ts";

const signed = {
  checkpoint: { origin: "log", size: 1, root: new Uint8Array(32), revision: 1, time: new Date() },
  note: "the note\n\n— log é\n",
};
const { signal } = new AbortController();

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: { method: string; url: string; type: string; body: string }[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { method = "", url = "", headers } = request;
      requests.push({ method, url, type: headers["content-type"] ?? "", body });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path?a=b`;
  return {
    url,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("a receiver", () => {
  it.each([200, 202, 204])("has kept what it answers with %i", async (status) => {
    await using server = await serve((_, response) => void response.writeHead(status).end());
    const receiver = createCheckpointReceiver(server.url);
    expect(receiver.name).toBe(new URL(server.url).origin);
    await receiver.keep(signed, signal);
    expect(server.requests).toEqual([
      { method: "POST", url: "/secret-path?a=b", type: "text/plain; charset=utf-8", body: signed.note },
    ]);
  });

  it.each([400, 500])("hasn't kept what it answers with %i", async (status) => {
    await using server = await serve((_, response) => void response.writeHead(status).end("why"));
    await expect(createCheckpointReceiver(server.url).keep(signed, signal)).rejects.toThrow(`status ${status}`);
  });

  it.each([301, 302, 307, 308])("sends nobody elsewhere with %i", async (status) => {
    await using other = await serve((_, response) => void response.writeHead(200).end());
    await using server = await serve((_, response) => void response.writeHead(status, { location: other.url }).end());
    await expect(createCheckpointReceiver(server.url).keep(signed, signal)).rejects.toThrow(`status ${status}`);
    expect(other.requests).toEqual([]);
  });

  it("may hang before its answer, which is given up, or in it, which nobody reads", async () => {
    await using silent = await serve(() => {});
    const stopping = new AbortController();
    const sent = createCheckpointReceiver(silent.url).keep(signed, stopping.signal);
    stopping.abort();
    await expect(sent).rejects.toThrow(/abort/);
    await using endless = await serve((_, response) => void response.writeHead(200).write("first of many"));
    await createCheckpointReceiver(endless.url).keep(signed, signal);
  });

  it("may not be there, and its path is in no error", async () => {
    const gone = await serve(() => {});
    await gone[Symbol.asyncDispose]();
    const error: unknown = await createCheckpointReceiver(gone.url)
      .keep(signed, signal)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toContain("secret-path");
  });
});
