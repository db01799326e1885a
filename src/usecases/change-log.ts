/** What the audit log says has changed, read once for all caches of a thread. */
import type { ChangeNotice } from "../domain/audit.ts";
import type { Storage } from "../domain/storage.ts";

interface Reading {
  /** The store's count of changes before it began: those are in it. */
  readonly changes: number;
  readonly after: number;
  readonly limit: number;
  readonly notices: Promise<readonly ChangeNotice[]>;
}

export class ChangeLog {
  readonly #storage: Pick<Storage, "changeCount" | "listChanges">;
  #last: Reading | undefined;

  constructor(storage: Pick<Storage, "changeCount" | "listChanges">) {
    this.#storage = storage;
  }

  /**
   * What every event after a revision changed, with all changes that the store has counted by now, at most `limit`.
   *
   * @throws AppError of kind `unavailable` when the store can't be read; it rejects then
   */
  since(after: number, limit: number): Promise<readonly ChangeNotice[]> {
    const changes = this.#storage.changeCount();
    const last = this.#last;
    if (last !== undefined && last.changes === changes && last.after === after && last.limit === limit) {
      return last.notices;
    }
    const notices = this.#storage.listChanges(after, limit);
    this.#last = undefined;
    if (changes === undefined) return notices;
    const reading = { changes, after, limit, notices };
    this.#last = reading;
    // Who asks again may have more luck.
    notices.catch(() => {
      if (this.#last === reading) this.#last = undefined;
    });
    return notices;
  }
}
