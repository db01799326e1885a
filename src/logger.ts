/** Structured logs: JSON lines for machines, pretty ones for a person at a terminal, secrets in neither. */
import { isatty } from "node:tty";
import { type DestinationStream, destination, pino } from "pino";
import type { Logger } from "./domain/logger.ts";

export interface ClosableLogger extends Logger {
  /** Takes a line that the logger of another thread has made. */
  pass(line: string): void;
  /** Writes out what is buffered. */
  flush(): void;
}

export interface LoggerOptions {
  readonly level: string;
  /** `auto` is pretty when a person watches the standard output at a terminal. */
  readonly format: "auto" | "json" | "pretty";
  /** Prefixes of the secrets that must not be seen. */
  readonly secretPrefixes: readonly string[];
  /** Where lines go; undefined is the standard output. */
  readonly sink: ((line: string) => void) | undefined;
}

/** Our own refresh tokens, the secrets of browser sessions, and the tokens of links in letters. */
const OWN_PREFIXES = ["lkr_", "lkb_", "lkl_"];

/** Whatever goes wrong elsewhere, nothing that looks like a secret passes the last step to the output. */
export async function createLogger({ level, format, secretPrefixes, sink }: LoggerOptions): Promise<ClosableLogger> {
  const isPretty = format === "pretty" || (format === "auto" && sink === undefined && isatty(1));
  const secrets = secretPattern([...secretPrefixes, ...OWN_PREFIXES]);
  const output = sink === undefined && !isPretty ? writeInChunks() : undefined;
  const stream: DestinationStream = isPretty
    ? await prettyStream()
    : { write: sink ?? ((line) => output?.write(line)) };
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => stream.write(line.replace(secrets, "[redacted]")) },
  );
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    pass: (line) => stream.write(line),
    flush: () => output?.flush(),
  };
}

/** Loaded for people only. */
async function prettyStream(): Promise<DestinationStream> {
  const { default: pretty } = await import("pino-pretty");
  return pretty({ colorize: true, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname", sync: true });
}

/**
 * Lines leave off the hot path, those of one turn of the event loop together: each write by itself wakes another
 * thread, and the stream's own buffer is measured anew at each line.
 */
function writeInChunks() {
  const output = destination({ fd: 1, sync: false });
  let lines = "";
  const send = (): void => {
    if (lines !== "") output.write(lines);
    lines = "";
  };
  return {
    write(line: string): void {
      if (lines === "") setImmediate(send);
      lines += line;
    },
    flush(): void {
      send();
      output.flushSync();
    },
  };
}

/** Secrets by their prefixes, and JSON Web Tokens. */
function secretPattern(prefixes: readonly string[]): RegExp {
  const escaped = prefixes.map((prefix) => prefix.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(String.raw`\b(?:(?:${escaped.join("|")})[\w-]{8,}|eyJ[\w-]{8,}(?:\.[\w-]+)*)`, "g");
}
