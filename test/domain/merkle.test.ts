/** The Merkle tree against the test vectors of the Certificate Transparency log, and against RFC 6962's own words. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MerkleTree } from "../../src/domain/merkle.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function rootOf(leaves: readonly Uint8Array[]): string {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leaf);
  expect(tree.size).toBe(leaves.length);
  return hex(tree.root());
}

/** The definition of section 2.1, word for word. */
function definition(leaves: readonly Uint8Array[]): Uint8Array {
  const sha256 = (...parts: Uint8Array[]): Uint8Array => createHash("sha256").update(Buffer.concat(parts)).digest();
  if (leaves.length === 0) return sha256();
  const [first] = leaves;
  if (leaves.length === 1 && first !== undefined) return sha256(Buffer.of(0), first);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(Buffer.of(1), definition(leaves.slice(0, k)), definition(leaves.slice(k)));
}

describe("the tree", () => {
  // Leaves and roots of the tests of certificate-transparency-go and transparency-dev/merkle.
  const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
  const roots = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];
  it.each(roots.entries().toArray())("of %i leaves has the root that others compute", (size, root) => {
    expect(rootOf(leaves.slice(0, size).map((leaf) => Buffer.from(leaf, "hex")))).toBe(root);
  });

  it("has at each size the root that the definition gives, and asking for it changes nothing", () => {
    const leaf = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(fc.array(leaf, { maxLength: 70 }), (all) => {
        const tree = new MerkleTree();
        for (const [index, each] of all.entries()) {
          expect(hex(tree.root())).toBe(hex(definition(all.slice(0, index))));
          tree.append(each);
        }
        expect(hex(tree.root())).toBe(hex(definition(all)));
        expect(hex(tree.root())).toBe(hex(definition(all)));
      }),
    );
  });
});
