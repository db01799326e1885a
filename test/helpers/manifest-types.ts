/** Checks Kubernetes manifests against the types of Kubernetes' own API, as the compiler sees them. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./manifests.ts";

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Kinds that Kubernetes itself doesn't have, and so has no types of. */
export const FOREIGN = new Set(["Kustomization", "Component", "PodMonitor", "Certificate"]);

const modules: Readonly<Record<string, string>> = { v1: "core/v1" };

/**
 * What the API would refuse, as the compiler says it: unknown fields, missing ones, and values of another type.
 *
 * @param manifests by a name that stands in front of their faults
 */
export async function faultsOf(manifests: ReadonlyMap<string, Manifest>): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-manifests-"));
  try {
    const names = [...manifests.keys()];
    const lines = [...manifests.values()].map((manifest, index) => {
      const module = modules[manifest.apiVersion] ?? manifest.apiVersion.replace(/\.k8s\.io(?=\/)/, "");
      const type = `import("kubernetes-types/${module}").${manifest.kind}`;
      return `export const manifest${index}: ${type} = ${JSON.stringify(manifest)};`;
    });
    await writeFile(join(folder, "manifests.ts"), `${lines.join("\n")}\n`);
    const options = {
      strict: true,
      noEmit: true,
      module: "esnext",
      moduleResolution: "bundler",
      types: [],
      paths: { "kubernetes-types/*": [join(ROOT, "node_modules/kubernetes-types/*")] },
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options }));
    const compiler = join(ROOT, "node_modules/.bin/tsc");
    const { stdout, status } = spawnSync(compiler, ["--project", folder, "--pretty", "false"], { encoding: "utf8" });
    const faults = stdout.split("\n").filter((line) => line.includes("error TS"));
    if (status !== 0 && faults.length === 0) throw new Error(`the compiler ended with ${status}: ${stdout}`);
    return faults.map((line) => {
      const [, number, text] = /manifests\.ts\((\d+),\d+\): error TS\d+: (.*)$/.exec(line) ?? [];
      return number === undefined ? line : `${names[Number(number) - 1]}: ${text}`;
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
