import { defineConfig } from "vitest/config";

// Where .ci/run wants the results as JSON, besides what people read.
const report = process.env["TEST_REPORT"];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Processes, not threads: better-sqlite3 is a native addon, and the code under test starts worker threads itself.
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // An .only left behind fails everywhere, not just in CI.
    allowOnly: false,
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
  },
});
