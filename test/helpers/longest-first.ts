/** Starts the test files that take longest first, so that none of them runs at the end while the other cores idle. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Each takes twenty seconds or more, which vitest, where it knows only how large a file is, can't see. */
const LONG = [
  "test/contract/postgres.test.ts",
  "test/e2e/cli-terminal.test.ts",
  "test/e2e/cli.test.ts",
  "test/e2e/start.test.ts",
  "test/e2e/cli-organizations.test.ts",
  "test/e2e/backup.test.ts",
  "test/contract/sqlite.test.ts",
  "test/e2e/cli-login.test.ts",
  "test/e2e/cli-config.test.ts",
  "test/e2e/threads.test.ts",
  "test/dashboard/pages.test.ts",
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((file) => moduleId.endsWith(`/${file}`));
    // oxlint-disable-next-line no-array-sort -- vitest's own order, which is no array's.
    const { long = [], other = [] } = Object.groupBy(await super.sort(files), (file) =>
      isLong(file) ? "long" : "other",
    );
    return [...long, ...other];
  }
}
