/**
 * What is read from files, and read again when they change: also when a file is replaced, or a link is led elsewhere,
 * as Kubernetes does with secrets. What can't be used leaves what was used before, and is logged.
 */
import { stat } from "node:fs/promises";
import type { Logger } from "../domain/logger.ts";
import { StartError } from "../domain/start-error.ts";

type Read<T> = { readonly value: T } | { readonly faults: readonly string[] };

export interface ReloadedFilesOptions<T> {
  /** Names the content in the log. */
  readonly what: string;
  readonly paths: readonly string[];
  /** Reads all files; a fault names the setting that it is about. Never throws. */
  readonly read: () => Read<T>;
  /** What speaks against a content that can be used: none replaces another with it. At the start it is logged. */
  readonly objection?: (value: T) => string | undefined;
  readonly logger: Logger;
  /** How often the files are looked at. A change is taken when two looks in a row saw the same. */
  readonly intervalMs?: number;
}

/** Notifications of the file system don't follow links, and don't come over a network. */
const DEFAULT_INTERVAL_MS = 500;

export class ReloadedFiles<T> {
  readonly #options: ReloadedFilesOptions<T>;
  readonly #followers: ((value: T) => void)[] = [];
  #current: T;
  /** What the files looked like when they were read, and at the last look. */
  #read: string | undefined;
  #seen: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @throws StartError with a line for each fault */
  constructor(options: ReloadedFilesOptions<T>) {
    this.#options = options;
    const read = options.read();
    if ("faults" in read) throw new StartError(read.faults.join("\n"));
    this.#current = read.value;
    const objections = this.#objections(read.value);
    if (objections.length > 0) options.logger.warn({ faults: objections }, `${options.what} is of little use`);
    this.#wait();
  }

  get current(): T {
    return this.#current;
  }

  /** Is told the content, now and whenever it changes. */
  follow(follower: (value: T) => void): void {
    this.#followers.push(follower);
    follower(this.#current);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #objections(value: T): readonly string[] {
    const objection = this.#options.objection?.(value);
    return objection === undefined ? [] : [objection];
  }

  #wait(): void {
    const { intervalMs = DEFAULT_INTERVAL_MS } = this.#options;
    this.#timer = setTimeout(() => void this.#look(), intervalMs).unref();
  }

  async #look(): Promise<void> {
    const now = await this.#state();
    if (this.#isStopped) return;
    // The first look comes after the first reading, so it can't tell what that one has read.
    if (now !== this.#read && now === this.#seen) await this.#reload(now);
    this.#seen = now;
    if (!this.#isStopped) this.#wait();
  }

  async #reload(state: string): Promise<void> {
    const { what, read, logger } = this.#options;
    const found = read();
    // A change in between may have made a pair of an old file and a new one.
    if ((await this.#state()) !== state || this.#isStopped) return;
    this.#read = state;
    const faults = "faults" in found ? found.faults : this.#objections(found.value);
    if ("faults" in found || faults.length > 0) {
      logger.error({ faults }, `${what} can't be used; what was there before stays in use`);
      return;
    }
    if (JSON.stringify(found.value) === JSON.stringify(this.#current)) return;
    this.#current = found.value;
    logger.info({ files: this.#options.paths }, `${what} was read anew`);
    for (const follower of this.#followers) follower(found.value);
  }

  /** Which files there are behind the paths, and when they changed; links are followed. */
  async #state(): Promise<string> {
    const states = this.#options.paths.map(async (path) => {
      try {
        const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
        return [dev, ino, size, mtimeMs, ctimeMs].join(":");
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? "unknown";
      }
    });
    return (await Promise.all(states)).join(" ");
  }
}
