/** The image: what the Dockerfile says fits the program, and what it copies is enough to start the service. */
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, matchesGlob } from "node:path";
import { describe, expect, it } from "vitest";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { createClient } from "../../src/client/index.ts";
import { loadConfig } from "../../src/config.ts";
import { SETTINGS } from "../../src/settings.ts";
import { copiesOf, parseDockerfile } from "../helpers/dockerfile.ts";
import { ROOT, readFromRoot, secondsOf } from "../helpers/manifests.ts";
import { runProgram, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

const [build, image] = parseDockerfile(await readFromRoot("Dockerfile"));
if (build === undefined || image === undefined) throw new Error("the Dockerfile has two stages");
const PROGRAM = "/opt/latchkey/bin/latchkey";
const portOf = (address: string): string => address.split(":").at(-1) ?? "";

describe("the image", () => {
  it("runs as a user without rights, who owns the data directory and nothing else", () => {
    const [user, group] = (image.last("USER") ?? "").split(":");
    // Numbers, so that an orchestrator can see that it isn't root.
    expect(user).toMatch(/^[1-9]\d{3,}$/);
    expect(group).toBe(user);
    const [made = ""] = image.all("RUN");
    expect(made).toContain(`useradd --uid ${user} --gid ${group} `);
    const { env } = image;
    expect(made).toContain(`--mode=0700 --owner=${user} --group=${group} ${env["LATCHKEY_DATA_DIR"]}`);
    expect(image.all("VOLUME")).toEqual([env["LATCHKEY_DATA_DIR"]]);
    for (const copy of image.all("COPY")) expect(copy).not.toMatch(/--ch(?:own|mod)/);
    // The start that leaves compiled code is by the same user, or the code would be no use to it.
    expect(build.all("RUN").join("\n")).toContain(`--reuid=${user} --regid=${group} `);
  });

  it("sets what the service takes, and serves where everybody who reaches the container can ask", () => {
    const settings = Object.entries(image.env).filter(([name]) => name.startsWith("LATCHKEY_"));
    const given = Object.fromEntries(settings);
    // Whoever runs it says how gRPC is encrypted; nobody gets it in plain text by accident.
    expect(() => loadConfig(given, {})).toThrow("service keys would cross the network in plain text");
    const config = loadConfig({ ...given, LATCHKEY_GRPC_PLAINTEXT: "allow" }, {});
    const addresses = [config.grpcAddress, config.httpAddress, config.opsAddress];
    expect(addresses).toEqual(
      [SETTINGS.grpcAddress, SETTINGS.httpAddress, SETTINGS.opsAddress].map(({ default: own }) =>
        own.replace("127.0.0.1", "0.0.0.0"),
      ),
    );
    expect(image.all("EXPOSE").join(" ").split(" ")).toEqual(addresses.map(portOf));
  });

  it("ends as the service wants to be ended, and asks for its health by a command that there is", () => {
    expect(image.last("STOPSIGNAL")).toBe("SIGTERM");
    expect(JSON.parse(image.last("ENTRYPOINT") ?? "")).toEqual([PROGRAM]);
    const health = /^(.*) CMD (\[.*\])$/.exec(image.last("HEALTHCHECK") ?? "");
    const [program, command, ...rest] = JSON.parse(health?.[2] ?? "[]") as string[];
    expect([program, ...rest]).toEqual([PROGRAM]);
    for (const name of [command, ...(JSON.parse(image.last("CMD") ?? "[]") as string[])]) {
      expect(Object.keys(COMMANDS)).toContain(name);
    }
    // The command gives up by itself sooner, and says why.
    expect(secondsOf(/--timeout=(\S+)/.exec(health?.[1] ?? "")?.[1] ?? "")).toBeGreaterThan(3);
  });

  it("holds no secret and nothing of its history: only what is named is sent to the build", async () => {
    const [everything, ...kept] = (await readFromRoot(".dockerignore"))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(everything).toBe("*");
    const sent = kept.map((line) => /^!([\w.-]+)$/.exec(line)?.[1] ?? line);
    const copied = copiesOf(build).flatMap(({ from, sources }) => (from === undefined ? sources : []));
    expect(sent.toSorted()).toEqual(copied.toSorted());
    for (const path of copied) expect(existsSync(join(ROOT, path))).toBe(true);
    for (const stage of [build, image]) {
      expect(stage.all("ARG")).toEqual([]);
      for (const name of Object.keys(stage.env)) expect(name).not.toMatch(/_(?:KEY|SECRET|PASSWORD|TOKEN|URL)\b/);
    }
    // What the build's start makes besides compiled code stays in the stage that is thrown away.
    expect(copiesOf(image)).toEqual([{ from: build.name, sources: ["/opt/latchkey"], target: "/opt/latchkey" }]);
  });
});

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: true; readonly devOptional?: true }>>;
}

/** Makes the folder that the image has: what the Dockerfile copies, and production packages without what it removes. */
function layOut(target: string): void {
  for (const { sources } of copiesOf(build!)) {
    for (const source of sources) cpSync(join(ROOT, source), join(target, source), { recursive: true });
  }
  const removed = build!
    .all("RUN")
    .join(" ")
    .split(" ")
    .filter((word) => word.startsWith("node_modules/"));
  expect(removed.length).toBeGreaterThan(0);
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as LockFile;
  const matched = new Set<string>();
  for (const [path, { dev, devOptional }] of Object.entries(packages)) {
    if (!/^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path) || dev || devOptional || !existsSync(join(ROOT, path)))
      continue;
    mkdirSync(dirname(join(target, path)), { recursive: true });
    if (!removed.some((pattern) => matchesGlob(path, pattern.split("/").slice(0, 2).join("/")))) {
      symlinkSync(join(ROOT, path), join(target, path));
      continue;
    }
    cpSync(join(ROOT, path), join(target, path), {
      recursive: true,
      filter(source) {
        const pattern = removed.find((each) => matchesGlob(source.slice(ROOT.length + 1), each));
        if (pattern !== undefined) matched.add(pattern);
        // The one large file is linked to.
        return pattern === undefined && !source.endsWith("/bin/node");
      },
    });
  }
  expect([...matched].toSorted()).toEqual(removed.toSorted());
  mkdirSync(join(target, "node_modules/.bin"));
  symlinkSync(process.execPath, join(target, "node_modules/.bin/node"));
}

describe("what the Dockerfile copies", () => {
  it("is enough to set up a deployment, serve it, answer an introspection, and be found healthy", async () => {
    await using folder = await temporaryFolder();
    const program = join(folder.path, "opt/bin/latchkey");
    layOut(join(folder.path, "opt"));
    const env = { LATCHKEY_DATA_DIR: join(folder.path, "data"), NODE_COMPILE_CACHE: join(folder.path, "cache") };
    const options = { file: program };
    const made = await runProgram(["bootstrap", "--admin-email", "you@example.com", "--json"], env, "", options);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const { serviceKey, organizationId } = JSON.parse(made.stdout) as { serviceKey: string; organizationId: string };

    await using service = await startServiceProcess([], env, options);
    const connection = { address: service.ready.grpc, token: serviceKey };
    const [tokens, backend] = [createClient(TokenService, connection), createClient(IntrospectionService, connection)];
    const { secret } = await tokens.issue({ organizationId, name: "in a container" });
    expect(await backend.introspect({ token: secret })).toMatchObject({ active: true, name: "in a container" });
    for (const client of [tokens, backend]) client.close();
    expect(await (await fetch(`http://${service.ready.http}/`)).text()).toContain("<title>");
    const health = await runProgram(["health", "--ops-addr", service.ready.ops], {}, "", options);
    expect(health).toMatchObject({ code: 0, stderr: "" });
    expect(await service.stop()).toBe(0);
  });
});
