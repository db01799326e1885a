/** Checkpoints: the worked example of `docs/audit.md`, their one text, and what they are compared with. */
import { createHash, createPublicKey, hkdfSync, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CheckedTree,
  type Checkpoint,
  checkpointName,
  openCheckpoint,
  signCheckpoint,
  splitNotes,
} from "../../src/domain/checkpoint.ts";
import { MerkleTree } from "../../src/domain/merkle.ts";
import { formatVerifierKey, signNote } from "../../src/domain/signed-note.ts";
import { createCheckpointSigner } from "../../src/security/checkpoint-signer.ts";
import { createSealer } from "../../src/security/sealer.ts";

const ROOT_KEY = new Uint8Array(32).fill(7);
const sealer = createSealer(ROOT_KEY, () => new Uint8Array());
const signer = createCheckpointSigner(sealer, "example.com/latchkey");
const TIME = new Date("2026-11-21T12:05:00.000Z");
const some = { size: 42, root: new Uint8Array(32).fill(9), revision: 45, time: TIME };

describe("the worked example of docs/audit.md", () => {
  const page = readFileSync(new URL("../../docs/audit.md", import.meta.url), "utf8");
  const block = (language: string): string => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(page)?.[1] ?? "";
  const eventHash = Buffer.from((JSON.parse(block("json")) as { hash: string }).hash, "base64");
  const note = block("note");

  it("is what the code makes of it", () => {
    const example = createCheckpointSigner(
      { ...sealer, deriveKey: () => Uint8Array.from({ length: 32 }, (_, index) => index) },
      "example.com/latchkey",
    );
    const tree = new MerkleTree();
    tree.append(eventHash);
    const content = { size: 1, root: tree.root(), revision: 7, time: TIME };
    expect(signCheckpoint(content, example)).toEqual({
      checkpoint: { origin: "example.com/latchkey", ...content },
      note,
    });
    expect(`${formatVerifierKey(example.key)}\n`).toBe(block("key"));
    expect(openCheckpoint(note, example.key).checkpoint).toMatchObject({ size: 1, revision: 7, time: TIME });
    expect(page).toContain(`${checkpointName({ ...content, origin: "" })}.checkpoint`);
  });

  it("holds by the page's own words, without the code", () => {
    const sha256 = (...parts: (Uint8Array | string)[]): Buffer =>
      parts.reduce((sum, part) => sum.update(part), createHash("sha256")).digest();
    const [origin, size, root, revision, time, empty, signatureLine = "", end] = note.split("\n");
    expect([origin, size, revision, time, empty, end]).toEqual([
      "example.com/latchkey",
      "1",
      "revision 7",
      "time 2026-11-21T12:05:00.000Z",
      "",
      "",
    ]);
    expect(root).toBe(sha256(Buffer.of(0), eventHash).toString("base64"));
    const [dash, name = "", signature = ""] = signatureLine.split(" ");
    expect([dash, name]).toEqual(["\u2014", origin]);
    const [, id, typed] = /^example\.com\/latchkey\+(.{8})\+(.*)\n$/.exec(block("key")) ?? [];
    const publicKey = Buffer.from(typed ?? "", "base64").subarray(1);
    expect(sha256(name, "\n", Buffer.of(1), publicKey).subarray(0, 4).toString("hex")).toBe(id);
    const bytes = Buffer.from(signature, "base64");
    expect(bytes.subarray(0, 4).toString("hex")).toBe(id);
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: publicKey.toString("base64url") },
      format: "jwk",
    });
    const text = note.slice(0, note.indexOf("\n\n") + 1);
    expect(verify(null, Buffer.from(text), key, bytes.subarray(4))).toBe(true);
  });
});

describe("the key", () => {
  it("comes from the root key alone, as the page says, and names the log where nobody does", () => {
    const seed = Buffer.from(hkdfSync("sha256", ROOT_KEY, "", "latchkey checkpoint signing key", 32));
    const same = createCheckpointSigner({ ...sealer, deriveKey: () => seed }, undefined);
    const unnamed = createCheckpointSigner(
      createSealer(ROOT_KEY, () => new Uint8Array()),
      undefined,
    );
    expect(unnamed.key).toEqual(same.key);
    expect(unnamed.key.publicKey).toEqual(signer.key.publicKey);
    const hash = createHash("sha256").update(unnamed.key.publicKey).digest("hex");
    expect(unnamed.key.name).toBe(`latchkey/${hash.slice(0, 16)}`);
    const other = createCheckpointSigner(
      createSealer(new Uint8Array(32).fill(8), () => new Uint8Array()),
      undefined,
    );
    expect(other.key.publicKey).not.toEqual(same.key.publicKey);
  });
});

describe("a checkpoint", () => {
  it("says what was signed, whatever it is", () => {
    const contents = fc.record({
      size: fc.nat(),
      root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      revision: fc.nat(),
      time: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z") }),
    });
    fc.assert(
      fc.property(contents, (content) => {
        const { checkpoint, note } = signCheckpoint(content, signer);
        const opened = openCheckpoint(note, signer.key).checkpoint;
        expect(opened).toEqual({ ...checkpoint, root: Buffer.from(checkpoint.root) });
      }),
    );
  });

  const [origin, size, root, revision, time] = signCheckpoint(some, signer).note.split("\n") as [
    string,
    string,
    string,
    string,
    string,
  ];
  it.each([
    ["another origin", ["example.com/other", size, root, revision, time]],
    ["a zero before its size", [origin, `0${size}`, root, revision, time]],
    ["no size", [origin, "", root, revision, time]],
    ["a size below zero", [origin, "-1", root, revision, time]],
    ["another text of its root", [origin, size, root.replace(/.=$/, "l="), revision, time]],
    ["a short root", [origin, size, "AAAA", revision, time]],
    ["no revision", [origin, size, root, time]],
    ["an empty line in it", [origin, size, root, revision, time, "", "more"]],
    ["no such time", [origin, size, root, revision, "time 2026-13-21T12:05:00.000Z"]],
    ["another text of its time", [origin, size, root, revision, "time 2026-11-21T12:05:00Z"]],
    ["nothing else", [origin]],
  ])("is none with %s, although the key has signed it", (_, lines) => {
    const note = signNote(lines.map((line) => `${line}\n`).join(""), signer);
    expect(openCheckpoint(note, signer.key)).toEqual({ fault: "no_checkpoint" });
  });

  it("may have lines that come with a later version, which are signed like the others", () => {
    const lines = [origin, size, root, revision, time, "mood good"];
    const note = signNote(lines.map((line) => `${line}\n`).join(""), signer);
    expect(openCheckpoint(note, signer.key).checkpoint).toMatchObject({ size: 42, revision: 45, time: TIME });
    expect(openCheckpoint(note.replace("good", "bad"), signer.key)).toEqual({ fault: "bad_signature" });
  });

  it("has a name that sorts by size, and that another history doesn't share", () => {
    const name = (fields: Partial<Checkpoint>): string => checkpointName({ origin: "", ...some, ...fields });
    expect(name({})).toBe("000000000042-09090909");
    expect(name({ time: new Date(), revision: 99 })).toBe(name({}));
    expect(name({ root: new Uint8Array(32) })).not.toBe(name({}));
    const sizes = [1, 9, 10, 99, 100, 1_000_000];
    expect(sizes.map((each) => name({ size: each })).toSorted()).toEqual(sizes.map((each) => name({ size: each })));
  });
});

describe("a text of several checkpoints", () => {
  const notes = [1, 2, 3].map((count) => signCheckpoint({ ...some, size: count }, signer).note);

  it("is split, with and without empty lines between them", () => {
    expect(splitNotes(notes.join(""))).toEqual(notes);
    expect(splitNotes(`\n${notes.join("\n\n")}\n\n`)).toEqual(notes);
    expect(splitNotes(notes[0] ?? "")).toEqual([notes[0]]);
    const cosigned = `${notes[0]}— someone AAAAAAAA\n${notes[1]}`;
    expect(splitNotes(cosigned)).toEqual([`${notes[0]}— someone AAAAAAAA\n`, notes[1]]);
  });

  it.each(["", "\n", "nothing\n", `${notes[0]}nothing`, `${notes[0]}nothing\n\nmore\n`, (notes[0] ?? "").slice(0, -1)])(
    "is none: %j",
    (text) => {
      expect(splitNotes(text)).toBeUndefined();
    },
  );
});

describe("a tree that is compared with checkpoints", () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const history = fc.array(hash, { maxLength: 40 });

  function checkpointAt(events: readonly Uint8Array[], size: number): Checkpoint {
    const tree = new MerkleTree();
    for (const event of events.slice(0, size)) tree.append(event);
    return { origin: "", ...some, size, root: tree.root() };
  }

  it("agrees with every checkpoint of its own history, in whatever order they come", () => {
    fc.assert(
      fc.property(history, fc.array(fc.nat()), (events, picks) => {
        const sizes = picks.map((pick) => pick % (events.length + 1));
        const tree = new CheckedTree(sizes.map((size) => checkpointAt(events, size)));
        for (const event of events) tree.append(event);
        expect([tree.contradicted, tree.coming, tree.size]).toEqual([undefined, undefined, events.length]);
        expect(tree.root()).toEqual(checkpointAt(events, events.length).root);
      }),
    );
  });

  it("finds every history that differs before the checkpoint, and none that differs after it", () => {
    fc.assert(
      fc.property(history, hash, fc.nat(), fc.nat(), fc.boolean(), (events, other, place, pick, doubled) => {
        fc.pre(events.length > 0 && !events.some((each) => Buffer.compare(each, other) === 0));
        const at = place % events.length;
        const size = pick % (events.length + 1);
        const changed = doubled ? events.toSpliced(at, 0, other) : events.with(at, other);
        const tree = new CheckedTree([checkpointAt(events, size)]);
        for (const event of changed) tree.append(event);
        expect(tree.contradicted?.size).toBe(size > at ? size : undefined);
      }),
    );
  });

  it("says which checkpoint comes next", () => {
    const events = Array.from({ length: 9 }, (_, index) => new Uint8Array(32).fill(index));
    const tree = new CheckedTree([9, 3, 5].map((size) => checkpointAt(events, size)));
    const coming = events.map((event) => {
      tree.append(event);
      return tree.coming?.size;
    });
    expect(coming).toEqual([3, 3, 5, 5, 9, 9, 9, 9, undefined]);
  });
});
