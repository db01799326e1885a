/** A Merkle tree as in RFC 6962, section 2.1, as far as it takes to add leaves and to know the root. */
import { hash } from "node:crypto";

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

export class MerkleTree {
  /** The leaves so far fall into perfect trees of different heights; these are their roots, by height. */
  readonly #perfect: (Uint8Array | undefined)[] = [];
  #size = 0;

  /** Adds a leaf. It takes some two hashes on average, and never more than the tree is high. */
  append(leaf: Uint8Array): void {
    let root = sha256(LEAF, leaf);
    let height = 0;
    // Two trees of one height are one of the next.
    for (let left = this.#perfect[0]; left !== undefined; left = this.#perfect[height]) {
      root = sha256(NODE, left, root);
      this.#perfect[height++] = undefined;
    }
    this.#perfect[height] = root;
    this.#size++;
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** The Merkle Tree Hash of the leaves so far, 32 bytes. */
  root(): Uint8Array {
    const roots = this.#perfect.filter((root) => root !== undefined);
    return roots.length === 0 ? sha256() : roots.reduce((right, left) => sha256(NODE, left, right));
  }
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return hash("sha256", Buffer.concat(parts), "buffer");
}
