/**
 * Keeps many short byte strings in a few large buffers. Each by itself would be an object, an allocation outside of
 * the heap, and work for the garbage collector.
 */

/** Large enough that the allocator gives a buffer back to the system when it goes. */
const SLAB_BYTES = 256 * 1024;

/** Before each string stands its length. */
const LENGTH_BYTES = 3;
const MAX_LENGTH = 2 ** 24 - 1;

/** So much may lie waste however little is wanted. */
const SPARE_BYTES = 4 * SLAB_BYTES;

interface Slab {
  readonly bytes: Buffer;
  /** Written so far. */
  end: number;
  /** Strings in it that were not removed. */
  wanted: number;
}

export class ByteShelf {
  /** A slab goes when nothing in it is wanted. Its memory is never written again: views of it stay as they are. */
  #slabs: (Slab | undefined)[] = [];
  /** Indexes without a slab. */
  #vacant: number[] = [];
  /** Where the next strings go. */
  #current = -1;
  #allocated = 0;
  #wanted = 0;

  /** What its slabs take of memory. */
  get bytes(): number {
    return this.#allocated;
  }

  /** Whether most of its memory holds what nobody wants any more, so that it is better cleared. */
  get isWasteful(): boolean {
    return this.#allocated > 2 * this.#wanted + SPARE_BYTES;
  }

  /** Copies the bytes, and answers where they are; undefined for more than it takes. */
  put(bytes: Uint8Array): number | undefined {
    const { length } = bytes;
    if (length > MAX_LENGTH) return undefined;
    const size = LENGTH_BYTES + length;
    let slab = this.#slabs[this.#current];
    if (slab === undefined || slab.end + size > slab.bytes.length) slab = this.#addSlab(size);
    const start = slab.end;
    slab.bytes[start] = length & 0xff;
    slab.bytes[start + 1] = (length >> 8) & 0xff;
    slab.bytes[start + 2] = length >> 16;
    slab.bytes.set(bytes, start + LENGTH_BYTES);
    slab.end += size;
    slab.wanted++;
    this.#wanted += size;
    return this.#current * SLAB_BYTES + start;
  }

  /** What was put there, without a copy. It stays the same whatever becomes of the place. */
  get(place: number): Buffer {
    const { bytes } = this.#slabAt(place);
    const start = place % SLAB_BYTES;
    const from = start + LENGTH_BYTES;
    return bytes.subarray(from, from + lengthAt(bytes, start));
  }

  /** The length of what was put there. */
  lengthOf(place: number): number {
    return lengthAt(this.#slabAt(place).bytes, place % SLAB_BYTES);
  }

  /** Copies what was put there into a buffer that has room for it, without a view of it as an object besides. */
  copyTo(target: Buffer, at: number, place: number): void {
    const { bytes } = this.#slabAt(place);
    const start = place % SLAB_BYTES;
    const from = start + LENGTH_BYTES;
    bytes.copy(target, at, from, from + lengthAt(bytes, start));
  }

  /** Lets go of what was put there. The place must not be used again. */
  remove(place: number): void {
    const slab = this.#slabAt(place);
    this.#wanted -= LENGTH_BYTES + lengthAt(slab.bytes, place % SLAB_BYTES);
    slab.wanted--;
    const index = Math.floor(place / SLAB_BYTES);
    if (index !== this.#current) this.#dropUnwanted(index);
  }

  /** Lets go of everything. No place may be used again. */
  clear(): void {
    this.#slabs = [];
    this.#vacant = [];
    this.#current = -1;
    this.#allocated = 0;
    this.#wanted = 0;
  }

  #slabAt(place: number): Slab {
    const slab = this.#slabs[Math.floor(place / SLAB_BYTES)];
    if (slab === undefined) throw new RangeError("nothing is kept at this place");
    return slab;
  }

  #addSlab(size: number): Slab {
    this.#dropUnwanted(this.#current);
    this.#current = this.#vacant.pop() ?? this.#slabs.length;
    const slab: Slab = { bytes: Buffer.allocUnsafeSlow(Math.max(size, SLAB_BYTES)), end: 0, wanted: 0 };
    this.#slabs[this.#current] = slab;
    this.#allocated += slab.bytes.length;
    return slab;
  }

  #dropUnwanted(index: number): void {
    const slab = this.#slabs[index];
    if (slab === undefined || slab.wanted > 0) return;
    this.#slabs[index] = undefined;
    this.#vacant.push(index);
    this.#allocated -= slab.bytes.length;
  }
}

function lengthAt(bytes: Buffer, place: number): number {
  return (bytes[place] ?? 0) | ((bytes[place + 1] ?? 0) << 8) | ((bytes[place + 2] ?? 0) << 16);
}
