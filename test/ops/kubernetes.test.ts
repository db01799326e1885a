/** The Kubernetes manifests are what Kubernetes takes, fit each other, and say of the service what is true of it. */
import { readdirSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { loadConfig } from "../../src/config.ts";
import { SHUTDOWN_GRACE_MS } from "../../src/grpc/grpc-server.ts";
import { SETTINGS } from "../../src/settings.ts";
import { parseDockerfile } from "../helpers/dockerfile.ts";
import { FOREIGN, faultsOf, type Manifest } from "../helpers/manifest-types.ts";
import { ROOT, readFromRoot, readManifests, readYaml, withSecrets } from "../helpers/manifests.ts";
import { startTestApp } from "../helpers/test-app.ts";

const FOLDER = "ops/kubernetes";

type Labels = Readonly<Record<string, string>>;
type Selector = { readonly matchLabels: Labels };

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly envFrom: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly resources: { readonly limits: Labels; readonly requests: Labels };
}

interface Pod {
  readonly metadata: { readonly labels: Labels; readonly annotations: Labels };
  readonly spec: {
    readonly containers: readonly [Container];
    readonly volumes: readonly {
      readonly name: string;
      readonly secret?: { readonly secretName: string; readonly defaultMode: number };
    }[];
    readonly terminationGracePeriodSeconds: number;
    readonly topologySpreadConstraints: readonly { readonly labelSelector: Selector }[];
  };
}

interface Workload extends Manifest {
  readonly spec: {
    readonly replicas: number;
    readonly selector: Selector;
    readonly template: Pod;
    readonly strategy: object;
    readonly activeDeadlineSeconds: number;
  };
}

interface Kustomization extends Manifest {
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
}

const read = async <T>(file: string): Promise<T> => (await readManifests<T>(`${FOLDER}/${file}`))[0]!;
const files = readdirSync(join(ROOT, FOLDER), { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".yaml"),
);
const manifests = new Map<string, Manifest>();
for (const file of files) {
  const found = await readManifests<Manifest>(`${FOLDER}/${file}`);
  for (const [index, manifest] of found.entries()) manifests.set(`${file}#${index}`, manifest);
}
const deployment = await read<Workload>("deployment.yaml");
const jobs = await Promise.all(["migrate/job.yaml", "bootstrap/job.yaml"].map((file) => read<Workload>(file)));
const pod = deployment.spec.template;
const [container] = pod.spec.containers;
const settings = await read<Manifest & { metadata: { name: string }; data: Labels }>("settings.yaml");
const image = parseDockerfile(await readFromRoot("Dockerfile")).at(-1);
const portOf = (name: string): number | undefined => container.ports?.find((port) => port.name === name)?.containerPort;

/** A deployment with two slips in it, which shows that slips are found. */
function slipped(): Manifest {
  const { spec, ...rest } = structuredClone(deployment);
  const { readinessProbe: readynessProbe, ...others } = container;
  const template = { ...pod, spec: { ...pod.spec, containers: [{ ...others, readynessProbe }] } };
  return Object.assign(rest, { spec: { ...spec, replicas: "3", template } });
}

describe("every manifest", () => {
  it("has the form that its kind has in Kubernetes, where a slip would be found", async () => {
    const native = new Map([...manifests].filter(([, { kind }]) => !FOREIGN.has(kind)));
    const kinds = new Set([...native.values()].map(({ kind }) => kind));
    expect([...kinds].toSorted()).toEqual([
      "ConfigMap",
      "Deployment",
      "Job",
      "Namespace",
      "NetworkPolicy",
      "PodDisruptionBudget",
      "Secret",
      "Service",
    ]);
    expect(await faultsOf(new Map([...native, ["slipped", slipped()]]))).toEqual([
      "slipped: Type 'string' is not assignable to type 'number'.",
      expect.stringMatching(/^slipped: .*'"readynessProbe"' does not exist in type 'Container'/),
    ]);
  });

  it("is applied by a kustomization, but for examples of secrets and what needs an operator", async () => {
    const applied = new Set<string>();
    for (const file of files.filter((name) => name.endsWith("kustomization.yaml"))) {
      const folder = dirname(file);
      const { namespace, resources = [], components = [], kind } = await read<Kustomization>(file);
      applied.add(file);
      for (const resource of resources) applied.add(posix.join(folder, resource));
      for (const component of components) expect(files).toContain(posix.join(folder, component, "kustomization.yaml"));
      // One place says which image it is.
      if (kind === "Kustomization") {
        expect(namespace).toBe("latchkey");
        expect(components.map((component) => posix.join(folder, component))).toEqual(["image"]);
      }
    }
    expect(files.filter((file) => !applied.has(file)).toSorted()).toEqual([
      "certificate.example.yaml",
      "pod-monitor.yaml",
      "secret.example.yaml",
    ]);
  });
});

/** The files that a pod has of secrets, by what each secret keeps. */
function filesOf({ spec }: Pod, kept: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const mounts = new Map(spec.containers[0].volumeMounts.map(({ name, mountPath }) => [name, mountPath]));
  return spec.volumes
    .flatMap(({ name, secret }) =>
      secret === undefined ? [] : (kept.get(secret.secretName) ?? []).map((file) => `${mounts.get(name)}/${file}`),
    )
    .toSorted();
}

describe("the pods", () => {
  it("have settings that the service takes, with secrets from files that are mounted", async () => {
    await using mounted = await withSecrets({ ...image?.env, ...settings.data });
    const config = loadConfig(mounted.env, {});
    expect(config.rootKey).toHaveLength(32);
    expect(config.postgres?.password).toBeDefined();
    const example = await read<Manifest & { metadata: { name: string }; stringData: Labels }>("secret.example.yaml");
    const certificate = await read<Manifest & { spec: { secretName: string } }>("certificate.example.yaml");
    const kept = new Map([
      [example.metadata.name, Object.keys(example.stringData)],
      [certificate.spec.secretName, ["tls.crt", "tls.key"]],
    ]);
    const named = Object.values(settings.data).filter((value) => value.startsWith("/"));
    expect(named.toSorted()).toEqual(filesOf(pod, kept));
    expect(config.grpcTls).toMatchObject({ cert: { path: named.find((file) => file.endsWith("/tls.crt")) } });
    for (const { spec } of [pod, ...jobs.map((job) => job.spec.template)]) {
      const [{ volumeMounts, envFrom }] = spec.containers;
      expect(envFrom).toEqual([{ configMapRef: { name: settings.metadata.name } }]);
      for (const { name } of volumeMounts) expect(spec.volumes.map((volume) => volume.name)).toContain(name);
      const data = volumeMounts.find(({ name }) => name === "data");
      expect(data?.mountPath).toBe(image?.env["LATCHKEY_DATA_DIR"]);
    }
    // Jobs serve nothing, so they need no certificate.
    const secrets = new Map([...kept].slice(0, 1));
    for (const job of jobs) {
      expect(filesOf(job.spec.template, secrets)).toEqual(named.filter((file) => !file.includes("tls")).toSorted());
    }
  });

  it("have no rights, and write nothing but their volumes", () => {
    const [user] = (image?.last("USER") ?? "").split(":");
    for (const { spec } of [pod, ...jobs.map((job) => job.spec.template)]) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: Number(user),
          runAsGroup: Number(user),
          fsGroup: Number(user),
          seccompProfile: { type: "RuntimeDefault" },
        },
        containers: [
          {
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
          },
        ],
      });
      // YAML 1.1, which Kubernetes reads, and 1.2 don't agree on what 0440 is.
      const modes = spec.volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret.defaultMode]));
      expect(new Set(modes)).toEqual(new Set([0o440]));
      const [{ resources }] = spec.containers;
      expect(Object.keys(resources.requests)).toEqual(["cpu", "memory"]);
      expect(resources.limits["memory"]).toMatch(/^\d+[MG]i$/);
    }
  });

  it("have the ports of the service, which its probes and Prometheus find things at", async () => {
    const own = [SETTINGS.grpcAddress, SETTINGS.httpAddress, SETTINGS.opsAddress].map(({ default: address }) =>
      Number(address.split(":").at(-1)),
    );
    expect(["grpc", "http", "ops"].map(portOf)).toEqual(own);
    await using test = await startTestApp();
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const { annotations } = pod.metadata;
    expect(annotations["prometheus.io/port"]).toBe(String(portOf("ops")));
    const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => {
      expect(httpGet.port).toBe("ops");
      return httpGet.path;
    });
    expect(paths).toEqual(["/livez", "/livez", "/readyz"]);
    for (const path of [...paths, annotations["prometheus.io/path"]]) {
      expect([path, (await fetch(`http://${test.app.opsAddress}${path}`)).status]).toEqual([path, 200]);
    }
    // A migration may take minutes, in which nothing but the start's own probe counts.
    expect(startupProbe.periodSeconds * startupProbe.failureThreshold).toBeGreaterThanOrEqual(300);
  });

  it("have time to end: everybody hears of it first, then calls finish, then what is left is written", () => {
    const heardMs = container.lifecycle.preStop.sleep.seconds * 1000;
    expect(heardMs).toBeGreaterThanOrEqual(5_000);
    const graceMs = pod.spec.terminationGracePeriodSeconds * 1000;
    expect(heardMs + SHUTDOWN_GRACE_MS + 5_000).toBeLessThanOrEqual(graceMs);
  });

  it("are replaced without ever being fewer, and are spread", () => {
    expect(deployment.spec.strategy).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
    expect(deployment.spec.replicas).toBeGreaterThanOrEqual(3);
    const selector = { matchLabels: pod.metadata.labels };
    expect(pod.spec.topologySpreadConstraints.map(({ labelSelector }) => labelSelector)).toEqual([selector, selector]);
  });

  it("run commands that there are", () => {
    const [migrate, bootstrap] = jobs.map((job) => job.spec.template.spec.containers[0]);
    expect(Object.keys(COMMANDS)).toContain(migrate?.args?.[0]);
    // What bootstrap prints mustn't get into a log, so its job only waits, and not for long.
    const [command, seconds] = bootstrap?.command ?? [];
    expect(command).toBe("sleep");
    expect(Number(seconds)).toBeLessThan(jobs[1]?.spec.activeDeadlineSeconds ?? 0);
  });
});

describe("what points at the pods", () => {
  interface Pointer extends Manifest {
    readonly spec: {
      readonly clusterIP?: string;
      readonly selector?: Labels & Partial<Selector>;
      readonly podSelector?: Selector;
      readonly maxUnavailable?: number;
      readonly ports?: readonly { readonly port: number; readonly targetPort: string }[];
      readonly ingress?: readonly { readonly ports: readonly { readonly port: string }[] }[];
      readonly podMetricsEndpoints?: readonly { readonly port: string; readonly path: string }[];
    };
  }
  const byKind = (kind: string): readonly Pointer[] =>
    [...manifests.values()].filter((manifest): manifest is Pointer => manifest.kind === kind);

  it("finds them by their labels, and not the jobs", () => {
    const { labels } = pod.metadata;
    expect(deployment.spec.selector.matchLabels).toEqual(labels);
    for (const { spec } of byKind("Service")) expect(spec.selector).toEqual(labels);
    for (const kind of ["PodDisruptionBudget", "PodMonitor"]) {
      for (const { spec } of byKind(kind)) expect(spec.selector).toEqual({ matchLabels: labels });
    }
    for (const { spec } of byKind("NetworkPolicy")) expect(spec.podSelector).toEqual({ matchLabels: labels });
    for (const job of jobs) expect(job.spec.template.metadata.labels).not.toMatchObject(labels);
    expect(byKind("PodDisruptionBudget").map(({ spec }) => spec.maxUnavailable)).toEqual([1]);
  });

  it("goes to ports that they have", () => {
    const [grpc, http] = byKind("Service");
    // gRPC clients spread their calls over the addresses behind the name.
    expect([grpc?.spec.clusterIP, http?.spec.clusterIP]).toEqual(["None", undefined]);
    for (const { port, targetPort } of [...(grpc?.spec.ports ?? []), ...(http?.spec.ports ?? [])]) {
      expect(portOf(targetPort)).toBe(port);
    }
    const policies = byKind("NetworkPolicy").flatMap(({ spec }) => spec.ingress ?? []);
    expect(policies.flatMap(({ ports }) => ports.map(({ port }) => port))).toEqual(["grpc", "http", "ops"]);
    for (const { spec } of byKind("PodMonitor")) {
      expect(spec.podMetricsEndpoints).toMatchObject([{ port: "ops", path: "/metrics" }]);
    }
  });
});

describe("the image's name", () => {
  it("is what the image component replaces", async () => {
    const { images } = await readYaml<{ images: readonly { name: string }[] }>(`${FOLDER}/image/kustomization.yaml`);
    for (const { spec } of [pod, ...jobs.map((job) => job.spec.template)]) {
      expect(images.map(({ name }) => name)).toEqual([spec.containers[0].image]);
    }
  });
});
