/** `latchkey health`: asks the operators' port of a service on this machine how it is. */
import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { flagOf, SETTINGS } from "../settings.ts";
import { command, UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { EXIT } from "./exit-codes.ts";
import { optionOf } from "./settings.ts";

const FLAG = flagOf(SETTINGS.opsAddress);

/** Shorter than the time that those who run this give it, so that they see what is wrong. */
const TIMEOUT_MS = 3_000;

export const health = command({
  options: {
    [FLAG]: optionOf(SETTINGS.opsAddress),
    live: { type: "boolean", default: false, help: "ask whether the process answers, and of nothing else" },
  },
  notes:
    "For health checks that run a command, such as a container's: it needs no credential and no other setting.\n" +
    "Prints what the service says, and ends with 0 if that is well: a degraded one is, for it answers introspections.\n" +
    "Ends with 1 if it isn't ready, and with 6 if nothing answers.",
  async run({ live, ...flags }) {
    const given = flags[FLAG] ?? process.env[SETTINGS.opsAddress.env] ?? "";
    const address = reachable(typeof given === "string" && given !== "" ? given : SETTINGS.opsAddress.default);
    const { isWell, answer } = await ask(address, live ? "/livez" : "/readyz");
    console.log(answer);
    return isWell ? EXIT.done : EXIT.failed;
  },
});

/** Where a service that listens on an address is reached: every address of a machine is none to call. */
function reachable(address: string): string {
  const [, host = "", port] = /^(\[[0-9a-f:.]+\]|[\w.-]+):(\d{1,5})$/i.exec(address) ?? [];
  if (port === undefined || Number(port) > 65_535 || Number(port) === 0) {
    throw new UsageError(`the address must be host:port, with the port that is really bound, not ${address}`);
  }
  return `${host === "0.0.0.0" ? "127.0.0.1" : host === "[::]" ? "[::1]" : host}:${port}`;
}

async function ask(address: string, path: string): Promise<{ readonly isWell: boolean; readonly answer: string }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    // `fetch` takes twice as long to load, and checks come again and again.
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`http://${address}${path}`, { signal }, resolve).once("error", reject);
    });
    return { isWell: response.statusCode === 200, answer: await text(response) };
  } catch {
    throw new CommandError(
      `nothing answers at ${address}: start the service, or set ${SETTINGS.opsAddress.env} or --${FLAG}`,
      EXIT.unavailable,
    );
  }
}
