/** Takes commands, and commits in groups what came during the last commit. */
import type pg from "pg";
import { AppError } from "../../domain/errors.ts";
import type { IdempotencyRecord } from "../../domain/idempotency.ts";
import type { WriteMeter } from "../../domain/write-meter.ts";
import type { CommandInput, CommandName, CommandResult } from "../commands.ts";
import { notWritable } from "../errors.ts";
import { connect, discard } from "./connection.ts";
import { isDeadlock, isOutdatedPlan } from "./errors.ts";
import { type CommandRequest, type CommittedGroup, commitGroup } from "./group-commit.ts";

interface Waiting extends CommandRequest {
  readonly askedAtMs: number;
  resolve(value: unknown): void;
  reject(error: AppError): void;
  /** Is told the end of a write that is traced. */
  readonly onEnd: ((failed: boolean) => void) | undefined;
}

const MAX_WAITING = 10_000;

/** Keeps the wait of the first command in a group short, and the lock from being held long. */
const MAX_GROUP = 256;

export interface WriterOptions {
  readonly client: pg.ClientConfig;
  readonly meter: WriteMeter;
  /** Called before anybody is answered, when events were committed; without a revision when they may have been. */
  readonly onChange: (revision?: number) => void;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #waiting: Waiting[] = [];
  #inGroup = 0;
  #client: pg.Client | undefined;
  #pumping: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /**
   * Runs a command and answers when it is durable. Rejects with `unavailable` when the database can't be written or too
   * much is waiting. The input must not be changed after that.
   */
  execute<Name extends CommandName>(
    name: Name,
    input: CommandInput<Name>,
    record?: IdempotencyRecord,
  ): Promise<CommandResult<Name>> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#waiting.length >= MAX_WAITING) throw new AppError("unavailable", "Too many writes are waiting.");
      const { meter } = this.#options;
      const onEnd = meter.follow?.(name);
      this.#waiting.push({ name, input, record, askedAtMs: performance.now(), resolve, reject, onEnd });
      this.#count();
      this.#pumping ??= this.#pump();
    }) as Promise<CommandResult<Name>>;
  }

  /** Waits for the outcomes of the commands that were accepted, then lets go of the connection. Never rejects. */
  async close(): Promise<void> {
    await this.#pumping;
    if (this.#client !== undefined) discard(this.#client);
    this.#client = undefined;
  }

  async #pump(): Promise<void> {
    // What comes in one turn of the event loop goes together.
    await new Promise((resolve) => void setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MAX_GROUP);
      this.#inGroup = group.length;
      await this.#commit(group);
      this.#inGroup = 0;
      this.#count();
    }
    this.#pumping = undefined;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const { meter, onChange } = this.#options;
    try {
      const { outcomes, revision } = await this.#attempt(group);
      if (revision !== undefined) onChange(revision);
      meter.groupSizes.observe(group.length);
      for (const [index, waiting] of group.entries()) {
        const outcome = outcomes[index];
        this.#end(waiting, outcome?.ok !== true);
        if (outcome?.ok === true) waiting.resolve(outcome.value);
        else waiting.reject(outcome?.error ?? notWritable(new Error("a command has no outcome")));
      }
    } catch (error) {
      // Whether a commit that failed is stored after all, nobody knows.
      onChange();
      // Nor does anybody else get through where there is no connection.
      const refused = this.#client === undefined ? [...group, ...this.#waiting.splice(0)] : group;
      for (const waiting of refused) {
        this.#end(waiting, true);
        waiting.reject(notWritable(error));
      }
    }
  }

  async #attempt(group: readonly Waiting[]): Promise<CommittedGroup> {
    const client = (this.#client ??= await this.#connect());
    try {
      return await commitGroup(client, group);
    } catch (error) {
      // Where the server itself refused, nothing is stored, and nothing is wrong with the connection.
      if (isDeadlock(error)) return commitGroup(client, group);
      this.#client = undefined;
      discard(client);
      if (isOutdatedPlan(error)) return this.#attempt(group);
      throw error;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = await connect({ ...this.#options.client, pipeline: true });
    // One that broke while nobody wrote costs no call: the next group gets another one.
    const forget = (): void => {
      if (this.#client === client) this.#client = undefined;
    };
    client.once("error", forget).once("end", forget);
    return client;
  }

  #end({ askedAtMs, onEnd }: Waiting, hasFailed: boolean): void {
    this.#options.meter.seconds.observe((performance.now() - askedAtMs) / 1000);
    onEnd?.(hasFailed);
  }

  #count(): void {
    this.#options.meter.waiting = this.#waiting.length + this.#inGroup;
  }
}
