/** The files of the listeners: each fault is named by its setting, and none quotes a key. */
import { createPrivateKey } from "node:crypto";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { openListenerFiles } from "../../src/serving/listener-files.ts";
import { readServerTls } from "../../src/tls/tls-files.ts";
import { createAuthority } from "../helpers/certificates.ts";
import { temporaryFolder } from "../helpers/service-process.ts";
import { TestLog } from "../http/test-server.ts";

const encrypted = (key: string): string =>
  createPrivateKey(key).export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }).toString();

it("says of each file what is wrong with it, by its setting, and all at once for a listener", async () => {
  await using folder = await temporaryFolder();
  const authority = await createAuthority();
  const pair = await authority.server();
  const path = (name: string): string => join(folder.path, name);
  await writeFile(path("cert"), pair.cert);
  await writeFile(path("key"), pair.key, { mode: 0o600 });
  await writeFile(path("other-key"), (await authority.server()).key, { mode: 0o600 });
  await writeFile(path("open-key"), pair.key, { mode: 0o600 });
  await chmod(path("open-key"), 0o644);
  await writeFile(path("both"), pair.cert + pair.key, { mode: 0o600 });
  await writeFile(path("encrypted"), encrypted(pair.key), { mode: 0o600 });
  await writeFile(path("text"), "hunter2", { mode: 0o600 });
  await writeFile(path("services"), "services: [{ name: a, scopes: [introspect], organization: all }]");
  const good = { LATCHKEY_GRPC_TLS_CERT: "cert", LATCHKEY_GRPC_TLS_KEY: "key" };
  const clients = { LATCHKEY_GRPC_CLIENT_CA: "cert", LATCHKEY_GRPC_CLIENTS_FILE: "services" };
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [{ LATCHKEY_GRPC_TLS_CERT: "none" }, `LATCHKEY_GRPC_TLS_CERT: ${path("none")} can't be read: ENOENT`],
    [{ LATCHKEY_GRPC_TLS_CERT: "text" }, `LATCHKEY_GRPC_TLS_CERT: ${path("text")} holds no certificate (PEM)`],
    [{ LATCHKEY_GRPC_TLS_CERT: "." }, `LATCHKEY_GRPC_TLS_CERT: ${folder.path} is not a file`],
    [{ LATCHKEY_GRPC_TLS_KEY: "text" }, `LATCHKEY_GRPC_TLS_KEY: ${path("text")} holds no private key that can be read`],
    [{ LATCHKEY_GRPC_TLS_KEY: "cert" }, `LATCHKEY_GRPC_TLS_KEY: ${path("cert")} is open to others (mode 0644)`],
    [{ LATCHKEY_GRPC_TLS_KEY: "open-key" }, `LATCHKEY_GRPC_TLS_KEY: ${path("open-key")} is open to others (mode 0644)`],
    [{ LATCHKEY_GRPC_TLS_KEY: "encrypted" }, `LATCHKEY_GRPC_TLS_KEY: ${path("encrypted")} is encrypted`],
    [
      { LATCHKEY_GRPC_TLS_KEY: "other-key" },
      `LATCHKEY_GRPC_TLS_KEY: ${path("other-key")} is not the key of the first certificate in ${path("cert")}`,
    ],
    [
      { LATCHKEY_HTTP_TLS_CERT: "both", LATCHKEY_HTTP_TLS_KEY: "none" },
      `LATCHKEY_HTTP_TLS_KEY: ${path("none")} can't be read: ENOENT`,
    ],
    [{ ...clients, LATCHKEY_GRPC_CLIENT_CA: "text" }, `LATCHKEY_GRPC_CLIENT_CA: ${path("text")} holds no certificate`],
    [clients, `LATCHKEY_GRPC_CLIENTS_FILE: ${path("services")}: services[0]: needs dns or uri`],
  ];
  for (const [settings, message] of cases) {
    const files = Object.entries({ ...good, ...settings }).map(([name, file]) => [name, path(file)]);
    const open = () => {
      const config = loadConfig(
        { LATCHKEY_DATA_DIR: path("data"), ...(Object.fromEntries(files) as Record<string, string>) },
        {},
      );
      using _ = openListenerFiles(config, { clock: Date.now, logger: new TestLog() });
    };
    expect(open).toThrow(message);
    expect(open).not.toThrow(/hunter2|PRIVATE|\n/);
  }
  const two = { cert: { path: path("none"), setting: "CERT" }, key: { path: path("text"), setting: "KEY" } };
  expect(readServerTls({ ...two, clientCa: undefined })).toMatchObject({
    faults: [expect.stringMatching(/^CERT: /) as string, expect.stringMatching(/^KEY: /) as string],
  });
});

it("hands on a certificate that shares a file with its key without the key", async () => {
  await using folder = await temporaryFolder();
  const { cert, key } = await (await createAuthority()).server();
  const both = { path: join(folder.path, "both.pem"), setting: "BOTH" };
  await writeFile(both.path, key + cert, { mode: 0o600 });
  expect(readServerTls({ cert: both, key: both, clientCa: undefined })).toMatchObject({
    value: {
      cert: expect.not.stringContaining("PRIVATE") as string,
      key: expect.stringContaining("PRIVATE") as string,
    },
  });
});
