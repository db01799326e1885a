/** Shows a person at a terminal how far a long command is. */

interface Terminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** The function to call with what is done and what there is to do. In a pipe it writes nothing. */
export function showProgress(what: string, terminal: Terminal = process.stderr): (done: number, all: number) => void {
  if (terminal.isTTY !== true) return () => {};
  let shown = "";
  return (done, all) => {
    const line = `\r${what} ${all === 0 ? 100 : Math.floor((100 * done) / all)} %${done === all ? "\n" : ""}`;
    if (line !== shown) terminal.write(line);
    shown = line;
  };
}
