/** The listeners over TLS: what they refuse, and certificates that change while they serve. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { DashboardService } from "../../gen/latchkey/v1/dashboard_pb.ts";
import { IntrospectionService, type IntrospectStreamResponse } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createAuthority, mountSecret, type Pair, replaceFile, writePair } from "../helpers/certificates.ts";
import { grpcClient } from "../helpers/grpc-client.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { handshake, serialShown, startTlsApp, type TlsApp } from "../helpers/tls-app.ts";

const serialOf = ({ cert }: Pair): string => new X509Certificate(cert).serialNumber;

/** Whatever is written into the log, no line of a private key is. */
function expectNoKeys({ test }: TlsApp, ...pairs: readonly Pair[]): void {
  const log = test.logLines.join("\n");
  expect(log).not.toContain("PRIVATE KEY");
  for (const { key } of pairs) {
    const lines = key.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(log).not.toContain(line);
  }
}

describe("gRPC over TLS", () => {
  it("serves every kind of call to those who know its authority, and nobody else", async () => {
    await using service = await startTlsApp();
    const { test, ca } = service;
    const { organizationId, serviceKey } = test.credentials;
    const headers = { authorization: `Bearer ${serviceKey}` };
    const to = test.app.grpcAddress;
    using tokens = grpcClient(TokenService, to, { tls: { ca }, headers });
    using backend = grpcClient(IntrospectionService, to, { tls: { ca }, headers });
    const { secret } = await tokens.issue({ organizationId, name: "over TLS" });
    expect(await backend.introspect({ token: secret })).toMatchObject({ active: true, allowed: true });
    const stream = backend.introspectStream();
    stream.write({ request: { token: secret } });
    const [answer] = (await once(stream, "data")) as [IntrospectStreamResponse];
    expect(answer.response).toMatchObject({ active: true });
    stream.end();

    const health = async (tls?: { ca: Buffer }) => {
      using client = grpcClient(Health, to, { ...(tls && { tls }), "grpc.use_local_subchannel_pool": 1 });
      return await client.check({}, { timeoutMs: 10_000 });
    };
    expect(await health({ ca })).toMatchObject({ status: 1 });
    await expect(health()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const { pem } = await createAuthority("Somebody else's");
    await expect(health({ ca: Buffer.from(pem) })).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it("speaks TLS 1.3 or 1.2 with forward secrecy, and HTTP/2 only", async () => {
    await using service = await startTlsApp();
    const { test, ca } = service;
    const to = test.app.grpcAddress;
    const h2 = { ca, ALPNProtocols: ["h2"] };
    const newest = await handshake(to, h2);
    expect([newest.getProtocol(), newest.alpnProtocol]).toEqual(["TLSv1.3", "h2"]);
    newest.destroy();
    const older = await handshake(to, { ...h2, maxVersion: "TLSv1.2" });
    expect([older.getProtocol(), older.getCipher().name]).toEqual(["TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    older.destroy();
    const old = { ...h2, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await expect(handshake(to, old)).rejects.toThrow(/protocol version/);
    const weak = { ...h2, maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" } as const;
    await expect(handshake(to, weak)).rejects.toThrow(/handshake failure/);
    await expect(handshake(to, { ca, ALPNProtocols: ["http/1.1"] })).rejects.toThrow(/no application protocol/);
    const without = await handshake(to, { ca });
    await once(without.resume(), "close");
    expect(await service.logged(["gRPC connection refused"])).toContain('"reason":"no HTTP/2"');
  });
});

describe("a certificate that changes", () => {
  it("is shown to new connections, while open ones go on; one that can't be used changes nothing", async () => {
    await using service = await startTlsApp({ http: true });
    const { test, ca, authority, files, folder } = service;
    const { grpcAddress, httpAddress } = test.app;
    const shown = async () => [await serialShown(grpcAddress, ca), await serialShown(httpAddress, ca, "http/1.1")];
    using backend = grpcClient(IntrospectionService, grpcAddress, {
      tls: { ca },
      headers: { authorization: `Bearer ${test.credentials.serviceKey}` },
    });
    const stream = backend.introspectStream();
    const ask = async () => {
      stream.write({ request: { token: "wp_0000" } });
      const [answer] = (await once(stream, "data")) as [IntrospectStreamResponse];
      return answer.response?.active;
    };
    expect(await ask()).toBe(false);

    const second = await authority.server();
    await writePair(folder, "server", second);
    await Promise.all([
      service.logged(["certificate for gRPC was read anew"]),
      service.logged(["certificate for HTTP was read anew"]),
    ]);
    expect(await shown()).toEqual([serialOf(second), serialOf(second)]);
    expect(await ask()).toBe(false);

    const refused = async (change: () => Promise<void>, reason: string) => {
      const from = test.logLines.length;
      await change();
      const line = await service.logged(['"level":"error"', "certificate for gRPC can't be used"], from);
      expect(line).toContain(reason);
      expect(await shown()).toEqual([serialOf(second), serialOf(second)]);
    };
    const another = await authority.server();
    await refused(() => writeFile(files.cert, "not a certificate"), "LATCHKEY_GRPC_TLS_CERT");
    await refused(() => replaceFile(files.cert, another.cert), "is not the key of the first certificate");
    await refused(() => rm(files.key), "can't be read: ENOENT");
    const expired = await authority.server({ notAfter: new Date(Date.now() - 1000) });
    await refused(async () => void (await writePair(folder, "server", expired)), "expired at");
    expect(await ask()).toBe(false);

    const last = await authority.server();
    const from = test.logLines.length;
    await writePair(folder, "server", last);
    await service.logged(["certificate for gRPC was read anew"], from);
    await service.logged(["certificate for HTTP was read anew"], from);
    expect(await shown()).toEqual([serialOf(last), serialOf(last)]);
    stream.end();
    expectNoKeys(service, second, another, expired, last);
  });

  it("is followed through the links of a Kubernetes secret, by each thread", async () => {
    await using mount = await temporaryFolder();
    const authority = await createAuthority();
    const contentOf = ({ cert, key }: Pair) => ({ "tls.crt": cert, "tls.key": key });
    const first = await authority.server();
    await mountSecret(mount.path, 1, contentOf(first));
    const ca = Buffer.from(authority.pem);
    await using service = await startTlsApp({
      tls: { ca },
      env: {
        LATCHKEY_THREADS: "2",
        LATCHKEY_GRPC_TLS_CERT: join(mount.path, "tls.crt"),
        LATCHKEY_GRPC_TLS_KEY: join(mount.path, "tls.key"),
      },
    });
    const to = service.test.app.grpcAddress;
    // Each of two threads has some of so many, but for once in 2⁴⁰ times.
    const shown = async () => new Set(await Promise.all(Array.from({ length: 40 }, () => serialShown(to, ca))));
    expect(await shown()).toEqual(new Set([serialOf(first)]));
    const second = await authority.server();
    await mountSecret(mount.path, 2, contentOf(second));
    await service.logged(["certificate for gRPC was read anew"]);
    await expect.poll(shown, { timeout: 10_000 }).toEqual(new Set([serialOf(second)]));
    expect(service.test.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});

describe("HTTP over TLS", () => {
  it("says so to browsers, keeps their sessions to it, and answers nobody in plain text", async () => {
    await using service = await startTlsApp({ http: true });
    const { test, ca } = service;
    const { host, port } = new URL(`https://${test.app.httpAddress}`);
    const fetchTls = async (path: string, headers: Record<string, string> = {}, body?: object) => {
      const sent = request({
        host: "127.0.0.1",
        port,
        path,
        ca,
        servername: "localhost",
        agent: false,
        method: body === undefined ? "GET" : "POST",
        headers: { host, ...(body && { "content-type": "application/json" }), ...headers },
      });
      sent.end(body && JSON.stringify(body));
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      return { status: response.statusCode, headers: response.headers, body: await text(response) };
    };
    const page = await fetchTls("/");
    expect(page.status).toBe(200);
    expect(page.headers["strict-transport-security"]).toBe("max-age=31536000");
    // Whoever tries it out there has other things there, too.
    expect((await fetchTls("/", { host: `localhost:${port}` })).headers).not.toHaveProperty(
      "strict-transport-security",
    );

    const path = `/${DashboardService.typeName}/SignIn`;
    const { adminEmail, adminPassword } = test.credentials;
    const signIn = (origin: string) =>
      fetchTls(path, { origin, "x-latchkey-dashboard": "1" }, { email: adminEmail, password: adminPassword });
    const signedIn = await signIn(`https://${host}`);
    expect(signedIn.status).toBe(200);
    expect(signedIn.headers["set-cookie"]?.[0]).toMatch(/^__Host-latchkey-session=lkb_.*; Path=\/; .*; Secure$/);
    // A page that came in plain text may be anybody's.
    const downgraded = await signIn(`http://${host}`);
    expect(downgraded.status).toBe(403);
    expect(downgraded.headers).not.toHaveProperty("set-cookie");

    await expect(fetch(`http://${test.app.httpAddress}/`)).rejects.toThrow("fetch failed");
    await expect(handshake(test.app.httpAddress, { ca, maxVersion: "TLSv1.1", minVersion: "TLSv1" })).rejects.toThrow(
      /protocol/,
    );
  });
});
