/** Starts the test files that take longest first, so that none of them runs at the end while the other cores idle. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Each takes more than half a minute, which vitest, where it knows only how large a file is, can't see. */
const LONG = [
  "test/contract/postgres.test.ts",
  "test/contract/sqlite.test.ts",
  "test/dashboard/pages.test.ts",
  "test/e2e/cli-terminal.test.ts",
  "test/dashboard/stories.test.ts",
  "test/e2e/start.test.ts",
  "test/e2e/readme.test.ts",
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((file) => moduleId.endsWith(`/${file}`));
    const { long = [], other = [] } = Object.groupBy(await super.sort(files), (file) =>
      isLong(file) ? "long" : "other",
    );
    return [...long, ...other];
  }
}
