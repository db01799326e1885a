/**
 * Keeps the lists that node:http2 has of a connection's streams in arrays.
 *
 * Node keeps them in a `Map` and a `Set`, which make themselves a new table every few streams. V8 lets each old table
 * lead to the next, so one that has grown old keeps all later ones, with the streams that were open at the time and
 * all that belongs to them, until a full collection. Those collections, and what led to them, were a seventh of what a
 * check costs, and the longest pauses that calls saw.
 *
 * There is no public way to do this. A Node that keeps its streams elsewhere is left alone: the calls are the same.
 */
import type { Http2Session } from "node:http2";
import { isMap, isSet } from "node:util/types";

/** What Node has of them, as far as it is used here. */
interface SessionState {
  streams?: unknown;
  pendingStreams?: unknown;
}

/**
 * Must be called before the connection has streams.
 *
 * @returns whether the lists are arrays now
 */
export function listStreamsInArrays(session: Http2Session): boolean {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  const state = key === undefined ? undefined : (session as unknown as Record<symbol, SessionState>)[key];
  // Node's own kinds of them, which only their insides tell.
  if (!(isMap(state?.streams) && isSet(state.pendingStreams))) return false;
  if (state.streams.size + state.pendingStreams.size > 0) return false;
  state.streams = new FewEntries();
  state.pendingStreams = new FewEntries();
  return true;
}

/** What Node uses of a `Map` and a `Set`, for a few entries that come and go. Their order isn't kept. */
export class FewEntries<Key, Value> {
  readonly #keys: Key[] = [];
  readonly #values: Value[] = [];

  get size(): number {
    return this.#keys.length;
  }

  get(key: Key): Value | undefined {
    return this.#values[this.#keys.lastIndexOf(key)];
  }

  set(key: Key, value: Value): this {
    const place = this.#keys.lastIndexOf(key);
    if (place >= 0) {
      this.#values[place] = value;
    } else {
      this.#keys.push(key);
      this.#values.push(value);
    }
    return this;
  }

  /** As in a `Set`. */
  add(value: Key & Value): this {
    return this.set(value, value);
  }

  delete(key: Key): boolean {
    const place = this.#keys.lastIndexOf(key);
    if (place < 0) return false;
    const lastKey = this.#keys.pop() as Key;
    const lastValue = this.#values.pop() as Value;
    if (place < this.#keys.length) {
      this.#keys[place] = lastKey;
      this.#values[place] = lastValue;
    }
    return true;
  }

  /** Leaves out what is deleted meanwhile. */
  forEach(callback: (value: Value, key: Key) => void): void {
    for (const key of this.#keys.slice()) {
      const place = this.#keys.lastIndexOf(key);
      if (place >= 0) callback(this.#values[place] as Value, key);
    }
  }
}
