/** Secrets that lie in files, as Docker and Kubernetes hand them to a container. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Environment, loadConfig } from "../../src/config.ts";
import { formatRootKey } from "../../src/domain/root-key.ts";
import { StartError } from "../../src/domain/start-error.ts";
import { SETTINGS, type Setting } from "../../src/settings.ts";
import { runProgram, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

const KEY = formatRootKey(new Uint8Array(32).fill(7));
const SERVER = "postgres://latchkey@127.0.0.1/latchkey";

function faultsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env, {});
    return [];
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return error.message.split("\n");
  }
}

describe("a secret in a file", () => {
  it("is read for every secret, without the newline at its end, and for nothing else", async () => {
    await using folder = await temporaryFolder();
    const put = async (name: string, text: string): Promise<string> => {
      const file = join(folder.path, name);
      await writeFile(file, text);
      return file;
    };
    const config = loadConfig(
      {
        LATCHKEY_DATABASE_URL: SERVER,
        LATCHKEY_DATABASE_PASSWORD_FILE: await put("password", " p%40ss/word?\r\n"),
        LATCHKEY_ROOT_KEY_FILE: await put("key", `${KEY}\n`),
        LATCHKEY_ACCESS_TOKEN_ALGORITHM: "HS256",
        LATCHKEY_ACCESS_TOKEN_SECRET_FILE: await put("secret", `${"s".repeat(32)}\n\n`),
        LATCHKEY_SMTP_URL_FILE: await put("smtp", "smtps://user:password@mail.example.com"),
        LATCHKEY_MAIL_FROM: "accounts@example.com",
        LATCHKEY_PUBLIC_URL: "https://keys.example.com",
        LATCHKEY_GOOGLE_CLIENT_ID: "id",
        LATCHKEY_GOOGLE_CLIENT_SECRET_FILE: await put("google", "shh\n"),
      },
      {},
    );
    expect(config.postgres?.password).toBe(" p%40ss/word?");
    expect(config.rootKey).toEqual(Buffer.alloc(32, 7));
    expect(config.accessTokenAlgorithm).toEqual({ name: "HS256", secret: `${"s".repeat(32)}\n` });
    expect(config.mail?.smtpUrl).toBe("smtps://user:password@mail.example.com");
    expect(config.identity.providers).toMatchObject([{ clientSecret: "shh" }]);

    for (const { env, secret } of Object.values<Setting>(SETTINGS)) {
      const faults = faultsOf({ [`${env}_FILE`]: "/nonexistent/secret" });
      const expected = secret
        ? `${env}_FILE: /nonexistent/secret can't be read (ENOENT)`
        : `${env}_FILE is not a setting; \`latchkey serve --help\` lists them all`;
      expect(faults).toContain(expected);
      expect(faultsOf({ [`${env}_FILE`]: "" })).toEqual(secret ? [] : [expected]);
    }
  });

  it("is refused where it can't be one, or stands in the environment too, and isn't shown", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "key");
    const faults = () => faultsOf({ LATCHKEY_ROOT_KEY_FILE: file });
    await writeFile(file, "\n");
    expect(faults()).toEqual([`LATCHKEY_ROOT_KEY_FILE: ${file} is empty`]);
    await writeFile(file, "k".repeat(16 * 1024 + 1));
    expect(faults()).toEqual([`LATCHKEY_ROOT_KEY_FILE: ${file} is larger than 16 KiB`]);
    await writeFile(file, "not a key");
    expect(faults()).toEqual(["LATCHKEY_ROOT_KEY must be 32 bytes in base64url, 43 characters"]);
    expect(faultsOf({ LATCHKEY_ROOT_KEY_FILE: folder.path })).toEqual([
      `LATCHKEY_ROOT_KEY_FILE: ${folder.path} is not a file`,
    ]);
    await writeFile(file, KEY);
    expect(faultsOf({ LATCHKEY_ROOT_KEY: KEY, LATCHKEY_ROOT_KEY_FILE: file })).toEqual([
      "LATCHKEY_ROOT_KEY and LATCHKEY_ROOT_KEY_FILE are both set: unset one",
    ]);
  });

  it("is the password of a database whose URL has none", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "password");
    await writeFile(file, "hunter2\n");
    expect(faultsOf({ LATCHKEY_DATABASE_PASSWORD_FILE: file })).toEqual([
      "LATCHKEY_DATABASE_PASSWORD is for PostgreSQL; unset it",
    ]);
    const twice = { LATCHKEY_DATABASE_URL: SERVER.replace("@", ":other@"), LATCHKEY_DATABASE_PASSWORD_FILE: file };
    expect(faultsOf(twice)).toEqual([
      "LATCHKEY_DATABASE_PASSWORD is set, and LATCHKEY_DATABASE_URL has a password: leave out one",
    ]);
  });

  it("starts a service, as a link to it does, which is what Kubernetes mounts", async () => {
    await using folder = await temporaryFolder();
    const [real, link] = [join(folder.path, "..data"), join(folder.path, "root-key")];
    await mkdir(real);
    await writeFile(join(real, "root-key"), KEY, { mode: 0o400 });
    await symlink("..data/root-key", link);
    const env = { LATCHKEY_DATA_DIR: join(folder.path, "data"), LATCHKEY_ROOT_KEY_FILE: link };
    expect(await runProgram(["bootstrap", "--admin-email", "you@example.com"], env)).toMatchObject({ code: 0 });
    await using service = await startServiceProcess([], env);
    expect((await fetch(`http://${service.ready.ops}/readyz`)).status).toBe(200);
    expect([...service.stdout, ...service.stderr].join("")).not.toContain(KEY);
  });
});
