/** compose.yaml and the load balancer's configuration agree with each other and with the service. */
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { loadConfig } from "../../src/config.ts";
import { SHUTDOWN_GRACE_MS } from "../../src/grpc/grpc-server.ts";
import { MAX_TIMEOUT_MS } from "../../src/rpc/limits.ts";
import { SETTINGS } from "../../src/settings.ts";
import { parseDockerfile } from "../helpers/dockerfile.ts";
import { ROOT, readFromRoot, readYaml, secondsOf, withSecrets } from "../helpers/manifests.ts";
import { startTestApp } from "../helpers/test-app.ts";

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly secrets?: readonly string[];
  readonly networks: readonly string[] | Readonly<Record<string, { readonly ipv4_address: string }>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly profiles?: readonly string[];
  readonly deploy?: { readonly replicas: number };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly logging?: { readonly driver: string };
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<"latchkey" | "bootstrap" | "load-balancer" | "postgres", Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const { services, ...compose } = await readYaml<Compose>("compose.yaml");
const { latchkey, bootstrap, postgres, "load-balancer": balancer } = services;
const image = parseDockerfile(await readFromRoot("Dockerfile")).at(-1);

/** Sections of HAProxy's configuration by their first line, as lists of words. */
function parseBalancer(text: string): ReadonlyMap<string, readonly (readonly string[])[]> {
  const sections = new Map<string, string[][]>();
  let lines: string[][] = [];
  for (const line of text.split("\n")) {
    const words = line.replace(/#.*/, "").trim().split(/\s+/);
    if (words[0] === "") continue;
    if (/^\S/.test(line)) sections.set(words.join(" "), (lines = []));
    else lines.push(words);
  }
  return sections;
}

const sections = parseBalancer(await readFromRoot("ops/haproxy/haproxy.cfg"));
const lineOf = (section: string, ...start: readonly string[]): readonly string[] =>
  sections.get(section)?.find((words) => start.every((word, index) => words[index] === word)) ?? [];
const portOf = (address: string): string => address.split(":").at(-1) ?? "";

describe("compose.yaml", () => {
  it("gives the service settings that it takes, the same to all replicas and to the bootstrap", async () => {
    await using mounted = await withSecrets({ ...image?.env, ...latchkey.environment });
    const config = loadConfig(mounted.env, {});
    expect(config.rootKey).toHaveLength(32);
    const { hostname, username, pathname } = new URL(latchkey.environment?.["LATCHKEY_DATABASE_URL"] ?? "");
    expect(config.postgres).toMatchObject({ host: hostname, password: expect.stringMatching(/./) as string });
    expect(Object.keys(services)).toContain(hostname);
    expect(postgres.environment).toMatchObject({ POSTGRES_USER: username, POSTGRES_DB: pathname.slice(1) });
    expect(bootstrap.environment).toEqual(latchkey.environment);
  });

  it("takes secrets from files alone, which are neither committed nor sent to the build", () => {
    const known = Object.keys(compose.secrets);
    const files = Object.values(services).flatMap(({ environment = {}, secrets = [] }) =>
      Object.entries(environment).flatMap(([name, value]) => {
        if (!value.startsWith("/run/secrets/")) {
          expect(name).not.toMatch(/_FILE$|PASSWORD|ROOT_KEY/);
          return [];
        }
        expect(secrets).toContain(value.slice("/run/secrets/".length));
        return value.slice("/run/secrets/".length);
      }),
    );
    expect([...new Set(files)].toSorted()).toEqual(known.toSorted());
    for (const { file } of Object.values(compose.secrets)) {
      expect(execFileSync("git", ["check-ignore", file], { cwd: ROOT, encoding: "utf8" }).trim()).toBe(file);
    }
  });

  it("lets nothing run with rights, or write outside of its volumes", () => {
    for (const name of ["latchkey", "bootstrap", "load-balancer"] as const) {
      expect(services[name]).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
      });
    }
  });

  it("shows others the load balancer alone, and that to this machine alone", () => {
    for (const [name, { ports = [] }] of Object.entries(services)) {
      expect([name, ports.length > 0]).toEqual([name, name === "load-balancer"]);
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    }
    const bound = ["frontend grpc", "frontend http"].map((section) => portOf(lineOf(section, "bind")[1] ?? ""));
    expect(balancer.ports?.map(portOf)).toEqual(bound);
  });

  it("starts what needs the database when that is healthy, and lets each process finish", () => {
    for (const each of [latchkey, bootstrap])
      expect(each.depends_on).toEqual({ postgres: { condition: "service_healthy" } });
    expect(postgres.healthcheck?.test).toContain("pg_isready");
    expect(secondsOf(latchkey.stop_grace_period ?? "") * 1000).toBeGreaterThan(SHUTDOWN_GRACE_MS + 5_000);
    expect(latchkey.build).toBe(".");
  });

  it("bootstraps only when it is asked to, and keeps nothing of what that prints", () => {
    expect(bootstrap.profiles).toEqual(["bootstrap"]);
    expect(bootstrap.logging).toEqual({ driver: "none" });
    const [program, command] = bootstrap.entrypoint ?? [];
    expect([program]).toEqual(JSON.parse(image?.last("ENTRYPOINT") ?? ""));
    expect(Object.keys(COMMANDS)).toContain(command);
  });

  it("names networks and volumes that there are", () => {
    for (const { networks, volumes = [] } of Object.values(services)) {
      for (const name of Array.isArray(networks) ? networks : Object.keys(networks)) {
        expect(Object.keys(compose.networks)).toContain(name);
      }
      for (const [source = ""] of volumes.map((volume) => volume.split(":"))) {
        if (!source.startsWith("./")) expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
  });
});

describe("the load balancer", () => {
  it("has room for every replica, at the ports where these listen", () => {
    for (const [backend, setting] of [
      ["backend grpc", SETTINGS.grpcAddress],
      ["backend http", SETTINGS.httpAddress],
    ] as const) {
      const [, , most, address = "", ...options] = lineOf(backend, "server-template");
      expect(Number(most)).toBeGreaterThanOrEqual(latchkey.deploy?.replicas ?? Number.NaN);
      expect(address).toBe(`latchkey:${portOf(setting.default)}`);
      // gRPC is HTTP/2 without anything before it that could agree on that.
      expect(options.join(" ").includes("proto h2")).toBe(backend === "backend grpc");
    }
  });

  it("asks a path of the service that says whether it is ready, at the operators' port", async () => {
    const connect = lineOf("defaults", "http-check", "connect");
    expect(connect.slice(2)).toEqual(["port", portOf(SETTINGS.opsAddress.default), "proto", "h1"]);
    const [, , , method, , path] = lineOf("defaults", "http-check", "send");
    expect(lineOf("defaults", "default-server")[1]).toBe("check");
    await using test = await startTestApp();
    const response = await fetch(`http://${test.app.opsAddress}${path}`, { method: method ?? "" });
    expect([response.status, await response.json()]).toEqual([200, { status: "ready", reads: "ok", writes: "ok" }]);
  });

  it("leaves it to the service to end a call, and waits longer for a stream", () => {
    for (const side of ["client", "server"]) {
      const usual = secondsOf(lineOf("defaults", "timeout", side)[2] ?? "");
      expect(usual * 1000).toBeGreaterThan(MAX_TIMEOUT_MS);
      const section = side === "client" ? "frontend grpc" : "backend grpc";
      expect(secondsOf(lineOf(section, "timeout", side)[2] ?? "")).toBeGreaterThan(30 * 60);
    }
  });

  it("is the proxy that the service believes", () => {
    const { ipv4_address: address } = (balancer.networks as Record<string, { ipv4_address: string }>)["inside"] ?? {};
    expect(latchkey.environment?.["LATCHKEY_TRUSTED_PROXIES"]).toBe(address);
    expect(lineOf("frontend http", "option", "forwardfor")).toHaveLength(2);
  });
});
