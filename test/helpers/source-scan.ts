/** Takes TypeScript text apart far enough to tell code from comments and strings, and to find what a file imports. */

export interface Scan {
  /** The text with the inside of every comment, string and regular expression blanked; offsets and lines stay. */
  readonly code: string;
  /** The text with all but the comments blanked; offsets and lines stay. */
  readonly comments: string;
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** Words after which a slash starts a regular expression, where it would mean division after any other word. */
const BEFORE_VALUE = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "do",
  "else",
  "void",
  "delete",
  "throw",
  "await",
]);

const blank = (text: string): string => text.replace(/[^\n]/g, " ");

/** Whether a slash after this code starts a regular expression. */
function startsRegExp(codeBefore: string): boolean {
  const before = codeBefore.trimEnd();
  if (before === "") return true;
  const word = /[\w$]+$/.exec(before)?.[0];
  return word === undefined ? !/[)\]"'`]$/.test(before) : BEFORE_VALUE.has(word);
}

/** Index just after the closing quote; an escaped character never closes. */
function endOfString(text: string, start: number): number {
  const quote = text[start];
  let index = start + 1;
  while (index < text.length && text[index] !== quote && text[index] !== "\n") index += text[index] === "\\" ? 2 : 1;
  return index + 1;
}

function endOfRegExp(text: string, start: number): number {
  let inClass = false;
  let index = start + 1;
  while (index < text.length && text[index] !== "\n") {
    const character = text[index];
    if (character === "\\") index += 1;
    else if (character === "[") inClass = true;
    else if (character === "]") inClass = false;
    else if (character === "/" && !inClass) break;
    index += 1;
  }
  return index + 1;
}

export function scan(text: string): Scan {
  let code = "";
  let comments = "";
  let index = 0;
  // One entry for each template that is open: how many braces are open in its `${…}`, where code goes on.
  const templates: number[] = [];
  let inTemplate = false;

  const take = (end: number, kind: "code" | "comment" | "literal"): void => {
    const piece = text.slice(index, end);
    const kept = kind === "code" || piece.length < 2 ? piece : piece[0] + blank(piece.slice(1, -1)) + piece.at(-1);
    code += kind === "comment" ? blank(piece) : kept;
    comments += kind === "comment" ? piece : blank(piece);
    index += piece.length;
  };

  while (index < text.length) {
    const character = text[index];
    const pair = text.slice(index, index + 2);
    if (inTemplate) {
      if (character === "`") {
        take(index + 1, "code");
        templates.pop();
        inTemplate = false;
        // The template that this one was nested in goes on where its `}` comes.
      } else if (pair === "${") {
        take(index + 2, "code");
        templates[templates.length - 1] = 0;
        inTemplate = false;
      } else {
        const end = Math.min(index + (character === "\\" ? 2 : 1), text.length);
        code += blank(text.slice(index, end));
        comments += blank(text.slice(index, end));
        index = end;
      }
    } else if (pair === "//") {
      const end = text.indexOf("\n", index);
      take(end === -1 ? text.length : end, "comment");
    } else if (pair === "/*") {
      const end = text.indexOf("*/", index + 2);
      take(end === -1 ? text.length : end + 2, "comment");
    } else if (character === '"' || character === "'") {
      take(endOfString(text, index), "literal");
    } else if (character === "/" && startsRegExp(code)) {
      take(endOfRegExp(text, index), "literal");
    } else if (character === "`") {
      take(index + 1, "code");
      templates.push(0);
      inTemplate = true;
    } else {
      const open = templates.at(-1);
      if (open !== undefined && character === "{") templates[templates.length - 1] = open + 1;
      if (open !== undefined && character === "}") {
        if (open === 0) inTemplate = true;
        else templates[templates.length - 1] = open - 1;
      }
      take(index + 1, "code");
    }
  }
  return { code, comments };
}

export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length;

/** Each ends at the quote that opens the specifier. */
const IMPORTS = [
  /\bimport\s+(?:type\s+)?[\w$*{][^;"'`()]*?\bfrom\s*(?=["'])/g,
  /\bexport\s+(?:type\s+)?(?:\*(?:\s*as\s+[\w$]+)?|\{[^}]*\})\s*from\s*(?=["'])/g,
  /\bimport\s*(?=["'])/g,
  /\bimport\s*\(\s*(?=["'`])/g,
  /\bimport\.meta\.resolve\s*\(\s*(?=["'`])/g,
];

const URLS = [/\bnew\s+URL\s*\(\s*(?=["'`])/g];

function specifiers(text: string, code: string, patterns: readonly RegExp[]): Import[] {
  return patterns.flatMap((pattern) =>
    Array.from(code.matchAll(pattern), (match) => {
      const start = match.index + match[0].length;
      const end = code.indexOf(code[start] ?? "", start + 1);
      return { specifier: text.slice(start + 1, end), line: lineAt(code, match.index) };
    }),
  );
}

/** Static, re-exporting, dynamic and type-only imports. A dynamic import of a computed name can't be seen. */
export const importsOf = (text: string, { code }: Scan): Import[] => specifiers(text, code, IMPORTS);

/** Files that are started as a worker: `new URL("./x.ts", import.meta.url)`. */
export const workersOf = (text: string, { code }: Scan): Import[] =>
  specifiers(text, code, URLS).filter(({ specifier }) => /^\.{1,2}\/.*\.ts$/.test(specifier));
