/** Reads a Dockerfile as far as ours goes: stages of instructions, in the shell and the JSON form. */

export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

export interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
  /** The texts of all instructions of a kind. */
  all(keyword: string): readonly string[];
  /** The text of the last instruction of a kind, which is the one that counts. */
  last(keyword: string): string | undefined;
  /** What the ENV instructions set. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Copy {
  /** The stage that it is from; undefined for the build context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .join("\n")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const stages: { base: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, keyword = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (keyword === "FROM") {
      const [base = "", , name] = rest.split(/\s+/);
      stages.push({ base, name, instructions: [] });
    } else {
      stages.at(-1)?.instructions.push({ keyword, text: rest.replaceAll(/\s+/g, " ") });
    }
  }
  return stages.map((stage) => {
    const all = (keyword: string): readonly string[] =>
      stage.instructions.filter((each) => each.keyword === keyword).map((each) => each.text);
    return { ...stage, all, last: (keyword) => all(keyword).at(-1), env: environmentOf(all("ENV")) };
  });
}

/** What `COPY` copies. */
export function copiesOf(stage: Stage): readonly Copy[] {
  return stage.all("COPY").map((text) => {
    const words = text.split(" ");
    const from = words.find((word) => word.startsWith("--from="))?.slice("--from=".length);
    const paths = words.filter((word) => !word.startsWith("--"));
    return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? "" };
  });
}

function environmentOf(texts: readonly string[]): Readonly<Record<string, string>> {
  const pairs = texts.flatMap((text) => text.split(" ")).map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([name = "", ...value]) => [name, value.join("=")]));
}
