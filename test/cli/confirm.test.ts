/** Only a clear yes is one. */
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { confirm } from "../../src/cli/confirm.ts";

async function ask(typed: string): Promise<{ readonly answer: boolean; readonly shown: string }> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  input.end(typed);
  const answer = await confirm("Revoke 3 tokens?", input, output);
  output.end();
  return { answer, shown: await text(output) };
}

it.each(["y\n", "Y\n", "yes\n", " YES \n", "y\nn\n"])("%j is a yes", async (typed) => {
  expect(await ask(typed)).toEqual({ answer: true, shown: "Revoke 3 tokens? [y/N] " });
});

it.each(["\n", "n\n", "no\n", "yep\n", "yy\n", "1\n", "n\ny\n", ""])("%j is a no", async (typed) => {
  expect((await ask(typed)).answer).toBe(false);
});
