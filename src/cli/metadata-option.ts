/** Labels of a token on the command line. */
import { UsageError } from "./command.ts";

/**
 * The labels that `--metadata KEY=VALUE …` names; an empty text names none.
 *
 * @throws UsageError for a text without `=`
 */
export function parseMetadata(texts: readonly string[]): Record<string, string> {
  const entries = texts
    .filter((text) => text !== "")
    .map((text) => {
      const [key = "", ...value] = text.split("=");
      if (value.length === 0) throw new UsageError("--metadata must be KEY=VALUE");
      return [key, value.join("=")];
    });
  return Object.fromEntries(entries) as Record<string, string>;
}
