/** Holds the rules of CONTRIBUTING.md that no other tool knows: first that each one bites, then that this project keeps it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, scan, workersOf } from "./helpers/source-scan.ts";
import { readTree, rules } from "./helpers/tidy-rules.ts";

const root = join(import.meta.dirname, "..");

/** The files of this project that people write, by path. Only TypeScript is read; of others the name counts. */
function projectTree(): Map<string, string> {
  const tree = new Map<string, string>();
  for (const folder of ["src", "test", "torture", "bench", "scripts", "web"]) {
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      tree.set(file.slice(root.length + 1), /\.tsx?$/.test(file) ? readFileSync(file, "utf8") : "");
    }
  }
  return tree;
}

interface Example {
  readonly tree: Readonly<Record<string, string>>;
  /** The start of each violation, in order; none for a tree that the rule must let pass. */
  readonly expected: readonly string[];
}

const examples: Readonly<Record<keyof typeof rules, Readonly<Record<string, Example>>>> = {
  importDirections: {
    "domain imports nothing but node: and itself": {
      tree: {
        "src/domain/token.ts": [
          'import { createHash } from "node:crypto";',
          'import type { Id } from "./ids.ts";',
          'import { z } from "zod";',
          'import type { Row } from "../storage/sqlite/rows.ts";',
          'import { readFileSync } from "fs";',
        ].join("\n"),
      },
      expected: [
        "src/domain/token.ts:3: domain must not import the package zod",
        "src/domain/token.ts:4: domain must not import storage/sqlite",
        "src/domain/token.ts:5: write node:fs",
      ],
    },
    "use cases know neither engines nor profiles": {
      tree: {
        "src/usecases/issue.ts":
          'import { a } from "../domain/a.ts";\nimport { b } from "../profiles/b.ts";\nimport { c } from "../storage/c.ts";',
      },
      expected: ["src/usecases/issue.ts:2: usecases must not", "src/usecases/issue.ts:3: usecases must not"],
    },
    "engines don't know each other": {
      tree: {
        "src/storage/sqlite/a.ts": 'export { b } from "../postgres/b.ts";\nimport Database from "better-sqlite3";',
        "src/storage/postgres/b.ts": 'const a = await import("../sqlite/a.ts");\nexport * from "../dialect.ts";',
      },
      expected: [
        "src/storage/sqlite/a.ts:1: storage/sqlite must not import storage/postgres",
        "src/storage/postgres/b.ts:1: storage/postgres must not import storage/sqlite",
      ],
    },
    "transports don't know each other, or use cases": {
      tree: {
        "src/grpc/server.ts": 'import "../http/bridge.ts";\nimport { p } from "../rpc/pipeline.ts";',
        "src/http/bridge.ts": 'import type { S } from "../grpc/server.ts";\nimport { i } from "../usecases/issue.ts";',
      },
      expected: [
        "src/grpc/server.ts:1: grpc must",
        "src/http/bridge.ts:1: http must",
        "src/http/bridge.ts:2: http must",
      ],
    },
    "the logger is for app and main": {
      tree: {
        "src/app.ts": 'import { logger } from "./logger.ts";',
        "src/rpc/pipeline.ts": 'import type { Logger } from "../logger.ts";',
      },
      expected: ["src/rpc/pipeline.ts:1: rpc must not import logger"],
    },
    "the client library stands alone": {
      tree: { "src/client/index.ts": 'import { x } from "../config.ts";\nimport { T } from "../../gen/t_pb.ts";' },
      expected: ["src/client/index.ts:1: client must not import config"],
    },
    "nothing that runs imports a test": {
      tree: { "src/app.ts": 'import { x } from "../test/helpers/x.ts";' },
      expected: ["src/app.ts:1: app must not import test"],
    },
    "a worker is an import too": {
      tree: { "src/rpc/a.ts": 'new Worker(new URL("../storage/sqlite/writer.ts", import.meta.url));' },
      expected: ["src/rpc/a.ts:1: rpc must not import storage/sqlite"],
    },
    "a new folder needs a place among the layers": {
      tree: { "src/misc/a.ts": "", "src/extra.ts": "" },
      expected: ["src/misc/a.ts: misc is in no layer", "src/extra.ts: extra is in no layer"],
    },
  },
  deadFiles: {
    "what main, a worker or the client library reaches is alive": {
      tree: {
        "src/main.ts": 'import { a } from "./a.ts";\nconst b = await import("./b.ts");',
        "src/a.ts": 'new Worker(new URL("./worker.ts", import.meta.url));',
        "src/b.ts": 'export * from "./c.ts";',
        "src/c.ts": 'import type { D } from "./d.ts";',
        "src/d.ts": "",
        "src/worker.ts": "",
        "src/client/index.ts": "",
      },
      expected: [],
    },
    "the rest is dead, also when it imports itself in a ring": {
      tree: {
        "src/main.ts": '// import "./a.ts";\nconst text = `import "./a.ts"`;',
        "src/a.ts": 'import "./b.ts";',
        "src/b.ts": 'import "./a.ts";',
      },
      expected: ["src/a.ts: dead", "src/b.ts: dead"],
    },
    "a tree without an entry point is not tidy": {
      tree: { "src/a.ts": "" },
      expected: ["src/main.ts: missing"],
    },
  },
  fileNames: {
    "kebab-case": {
      tree: { "src/domain/tokenId.ts": "", "src/Domain/token.ts": "", "test/a_b.test.ts": "", "src/token-id.ts": "" },
      expected: ["src/domain/tokenId.ts: names", "src/Domain/token.ts: names", "test/a_b.test.ts: names"],
    },
    "no utils or helpers outside test": {
      tree: {
        "src/utils/a.ts": "",
        "src/string-utils.ts": "",
        "scripts/helpers.ts": "",
        "src/outils.ts": "",
        "test/helpers/a.ts": "",
      },
      expected: ["src/utils/a.ts: name it", "src/string-utils.ts: name it", "scripts/helpers.ts: name it"],
    },
  },
  processEnv: {
    "is read in config and cli only": {
      tree: {
        "src/config.ts": "process.env.A;",
        "src/cli/serve.ts": "process.env.A;",
        "src/app.ts": "process.env.A;\nprocess?.env;\nprocess['env'];\nconst { env } = process;\nprocess.exitCode = 1;",
        "src/rpc/a.ts": 'import { env } from "node:process";\n// process.env\nconst text = "process.env";',
      },
      expected: ["src/app.ts:1:", "src/app.ts:2:", "src/app.ts:3:", "src/app.ts:4:", "src/rpc/a.ts:1:"],
    },
  },
  console: {
    "is used in cli only": {
      tree: {
        "src/cli/a.ts": "console.log(1);",
        "src/app.ts": "\nconsole.error(1);",
        "scripts/a.ts": "console.log(1);",
      },
      expected: ["src/app.ts:2:"],
    },
  },
  any: {
    "is nowhere": {
      tree: {
        "src/a.ts": "let a: any;\nb as any;\nlet c = <any>d;\nlet e: Map<string, any>;\nlet f: () => any;",
        "test/a.test.ts": "const any = Promise.any([]); // any: any\nconst many: Many = 1;",
      },
      expected: ["src/a.ts:1:", "src/a.ts:2:", "src/a.ts:3:", "src/a.ts:4:", "src/a.ts:5:"],
    },
  },
  unfinished: {
    "is nothing": {
      tree: {
        "src/a.ts": "// FIXME\n/* later:\n TODO */\nconst TODO = 1;",
        "src/b.ts": 'const text = "TODO"; // todo',
      },
      expected: ["src/a.ts:4:", "src/a.ts:1:", "src/a.ts:3:"],
    },
  },
  uncountedTests: {
    "are not written": {
      tree: {
        "test/a.test.ts":
          'it.only("a");\nit.skip.each([1]);\ndescribe.todo("b");\nit("c", { skip: true }, f);\ncontext.skip();',
        "test/b.test.ts": 'const text = ".only(";\nit("runs the .skip( test only", f);',
        "src/a.ts": "cursor.skip(1);",
      },
      expected: [1, 2, 3, 4, 5].map((line) => `test/a.test.ts:${line}:`),
    },
  },
};

const project = readTree(projectTree());

for (const [name, rule] of Object.entries(rules)) {
  describe(name, () => {
    for (const [title, example] of Object.entries(examples[name as keyof typeof rules])) {
      it(title, () => {
        const found = rule(readTree(new Map(Object.entries(example.tree))));
        expect(found.map((line, index) => line.slice(0, example.expected[index]?.length))).toEqual(example.expected);
      });
    }

    it("is kept by an empty tree", () => {
      expect(rule([])).toEqual([]);
    });

    it("is kept by this project", () => {
      expect(rule(project)).toEqual([]);
    });
  });
}

describe("the scan", () => {
  it("tells code from comments, strings, templates and regular expressions", () => {
    const text = [
      "const a = /['\"`//]/.test(b) ? 'it''s' : c / d / e; // 1",
      "const f = `x ${g({ h: `y ${i} z` })} // no`; /* 2",
      '3 */ const j = "\\" // no"; k;',
    ].join("\n");
    const { code, comments } = scan(text);
    expect(code.length).toBe(text.length);
    expect(code.replace(/ +/g, " ")).toBe(
      "const a = / /.test(b) ? ' '' ' : c / d / e; \nconst f = ` ${g({ h: ` ${i} ` })} `; \n const j = \" \"; k;",
    );
    expect(comments.replace(/\s+/g, " ").trim()).toBe("// 1 /* 2 3 */");
  });

  it("finds every kind of import, with its line", () => {
    const text = [
      'import a, { type b } from "./1.ts";',
      "import type {",
      "  c,",
      "} from './2.ts';",
      'export * as d from "./3.ts";',
      'export type { e } from "./4.ts";',
      'import "./5.ts";',
      "const f = await import(`./6.ts`);",
      'type G = import("./7.ts").G;',
      'const h = { from: "./no.ts" }; export const i = "./no.ts";',
      'new Worker(new URL("./8.ts", import.meta.url)); new URL("https://example.com/no.ts");',
      'import.meta.resolve("./9.ts");',
    ].join("\n");
    const found = [...importsOf(text, scan(text)), ...workersOf(text, scan(text))];
    expect(found.map(({ specifier, line }) => `${specifier}:${line}`).toSorted()).toEqual(
      ["1:1", "2:2", "3:5", "4:6", "5:7", "6:8", "7:9", "8:11", "9:12"].map((pair) => pair.replace(/^\d/, "./$&.ts")),
    );
  });
});
