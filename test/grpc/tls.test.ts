/** A gRPC listener with TLS stops as one without does. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, it } from "vitest";
import { createAuthority } from "../helpers/certificates.ts";
import { handshake } from "../helpers/tls-app.ts";
import { startTestServer } from "./test-server.ts";

it("ends when it is told to, also while somebody is in mid-handshake", async () => {
  const authority = await createAuthority();
  const tls = { ...(await authority.server()), expiresAtMs: 0, clientCa: undefined };
  const server = await startTestServer({ tls, shutdownGraceMs: 100 });
  const { hostname, port } = new URL(`http://${server.address}`);
  const silent = connect(Number(port), hostname);
  silent.on("error", () => {});
  await once(silent, "connect");
  const open = await handshake(server.address, { ca: authority.pem, ALPNProtocols: ["h2"] });
  open.on("error", () => {});
  const closed = Promise.all([once(silent.resume(), "close"), once(open.resume(), "close")]);
  await server.stop();
  await closed;
  expect(server.log.lines.map(({ message }) => message)).toContain("gRPC calls cut off at shutdown");
});
