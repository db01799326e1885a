import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/helpers/longest-first.ts";

// As `bin/latchkey` does: each process and thread of a test would compile the same TypeScript anew.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, ".cache/compiled");

// Where .ci/run wants the results as JSON, besides what people read.
const report = process.env["TEST_REPORT"];

/** The tests of PostgreSQL itself. */
const POSTGRES = "test/**/postgres*.test.ts";

/** What of the service is tested on PostgreSQL too, each time: what leans most on the storage engine. */
const ON_BOTH_ENGINES = [
  "audit",
  "idempotency",
  "import",
  "introspection",
  "main-story",
  "organizations",
  "revoke-many",
  "rotation",
  "update-races",
  "uses",
].map((name) => `test/e2e/${name}.test.ts`);

/** Every test that starts the service in its own process, for `npm run test:postgres`. */
const OF_THE_SERVICE = ["test/{e2e,profiles}/*.test.ts"];

const isWhole = process.env["TEST_ON_POSTGRES"] === "all";

export default defineConfig({
  test: {
    // Processes, not threads: better-sqlite3 is a native addon, and the code under test starts worker threads itself.
    pool: "forks",
    // One for each core: most tests wait for processes of their own.
    maxWorkers: "100%",
    // A process runs one file after the other: to load the service and all that it imports anew for each of them took a
    // quarter of the time. So a file leaves nothing behind: no faked clock, no variable, no listener.
    isolate: false,
    // The code runs as Node itself runs it, from its compile cache.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // An .only left behind fails everywhere, not just in CI.
    allowOnly: false,
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
    projects: [
      {
        extends: true,
        test: { name: "sqlite", include: ["test/**/*.test.ts"], exclude: [POSTGRES] },
      },
      {
        extends: true,
        test: {
          name: "postgres",
          include: [POSTGRES, ...(isWhole ? OF_THE_SERVICE : ON_BOTH_ENGINES)],
          // Its commands on files are SQLite's; postgres-processes.test.ts runs those that PostgreSQL has.
          exclude: ["test/e2e/cli-terminal.test.ts"],
          globalSetup: ["test/helpers/postgres-server.ts"],
          setupFiles: ["test/helpers/postgres-setup.ts"],
        },
      },
    ],
  },
});
