/** One PostgreSQL server for all tests of a run: vitest starts it before them and ends it after them. */
import type { TestProject } from "vitest/node";
import { makeTemplate } from "./postgres.ts";
import { PostgresCluster } from "./postgres-cluster.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the server, without a database. */
    postgresUrl: string;
  }
}

let cluster: PostgresCluster | undefined;

export async function setup(project: TestProject): Promise<void> {
  // Processes are killed here, but no power is cut: what the system has is kept. It makes databases in half the time.
  cluster = await PostgresCluster.start(["fsync=off"]);
  await makeTemplate(cluster.url);
  project.provide("postgresUrl", cluster.url);
}

export async function teardown(): Promise<void> {
  await cluster?.[Symbol.asyncDispose]();
}
