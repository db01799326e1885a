/** Signed notes against published ones, and against every change of a bit. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatVerifierKey,
  isKeyName,
  type NoteKey,
  type NoteSigner,
  openNote,
  parseVerifierKey,
  signNote,
} from "../../src/domain/signed-note.ts";

/** The keys and the note of the documentation and the tests of golang.org/x/mod/sumdb/note. */
const PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETERS_SEED = Buffer.from("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz", "base64").subarray(1);
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NOTE = `${TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;

/** The example of c2sp.org/signed-note. */
const EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE =
  "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/** The key of the Go checksum database, and the tree that it signed at one size. */
const GO = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const GO_TREE =
  "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

function keyOf(text: string): NoteKey {
  const key = parseVerifierKey(text);
  if (key === undefined) throw new Error(`${text} isn't a key`);
  return key;
}

function signerOf(name: string, seed?: Uint8Array): NoteSigner {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const privateKey =
    seed === undefined
      ? generateKeyPairSync("ed25519").privateKey
      : createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  return { key: { name, publicKey }, sign: (bytes) => sign(null, bytes, privateKey) };
}

describe("published notes", () => {
  it.each([
    ["the one of the Go library", PETER, NOTE],
    ["the one of the specification", EXAMPLE, EXAMPLE_NOTE],
    ["a tree of the Go checksum database", GO, GO_TREE],
  ])("open: %s", (_, key, note) => {
    expect(formatVerifierKey(keyOf(key))).toBe(key);
    expect(openNote(note, keyOf(key))).toEqual({ text: note.slice(0, note.indexOf("\n\n") + 1) });
    expect(openNote(note.replace("e", "E"), keyOf(key))).toEqual({ fault: "bad_signature" });
    for (const other of [PETER, EXAMPLE, GO].filter((each) => each !== key)) {
      expect(openNote(note, keyOf(other))).toEqual({ fault: "unknown_key" });
    }
  });

  it("are made alike", () => {
    const signer = signerOf("PeterNeumann", PETERS_SEED);
    expect(formatVerifierKey(signer.key)).toBe(PETER);
    expect(signNote(TEXT, signer)).toBe(NOTE);
    expect(() => signNote("no newline", signer)).toThrow(/newline/);
  });
});

describe("a verifier's key", () => {
  it("is its one text only, and no other one", () => {
    for (let start = 0; start < PETER.length; start++) {
      for (let end = start; end <= PETER.length; end++) {
        if (end - start < PETER.length) expect(parseVerifierKey(PETER.slice(start, end))).toBeUndefined();
      }
    }
    for (const changed of bitFlips(PETER)) expect([changed, parseVerifierKey(changed)]).toEqual([changed, undefined]);
    expect(parseVerifierKey(`${PETER}\n`)).toBeUndefined();
    expect(parseVerifierKey(PETER.replace("c74f20a3", "C74F20A3"))).toBeUndefined();
  });

  it("has a name without spaces, plus signs and what can't be seen", () => {
    for (const name of ["a", "example.com/latchkey", "é", "日本"]) expect(isKeyName(name)).toBe(true);
    for (const name of ["", " ", "a b", "a+b", "a\n", "a\u00a0b", "a\u2028b", "a\u0085b", "\u0000", "\ud800"]) {
      expect([name, isKeyName(name)]).toEqual([name, false]);
    }
  });
});

describe("a note", () => {
  const text = fc
    .array(fc.string({ unit: "grapheme", maxLength: 12 }), { minLength: 1, maxLength: 4 })
    .map((lines) => lines.map((line) => `${line.replaceAll("\n", "")}\n`).join(""));

  it("opens to what was signed, also where it holds empty lines", () => {
    const signer = signerOf("example.com/log");
    fc.assert(
      fc.property(text, (signed) => {
        expect(openNote(signNote(signed, signer), signer.key)).toEqual({ text: signed });
      }),
    );
  });

  it("doesn't open once a single bit of it is another one", () => {
    const signer = signerOf("example.com/log");
    fc.assert(
      fc.property(text, fc.nat(), (signed, place) => {
        const bytes = Buffer.from(signNote(signed, signer));
        const bit = place % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(openNote(bytes.toString(), signer.key).text).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
    for (const changed of bitFlips(NOTE)) expect(openNote(changed, keyOf(PETER)).text).toBeUndefined();
  });

  it("may have signatures by others, but none of the key's own that isn't good", () => {
    const [one, two] = [signerOf("example.com/one"), signerOf("example.com/two")];
    const line = (signed: string): string => signed.slice(signed.lastIndexOf("— "));
    const both = signNote(TEXT, one) + line(signNote(TEXT, two));
    expect(openNote(both, one.key)).toEqual({ text: TEXT });
    expect(openNote(both, two.key)).toEqual({ text: TEXT });
    // The same name with another key, and the same key by another name, are other keys.
    expect(openNote(both, signerOf("example.com/one").key)).toEqual({ fault: "unknown_key" });
    expect(openNote(both, { ...one.key, name: "example.com/uno" })).toEqual({ fault: "unknown_key" });
    const forged = line(signNote("something else\n", two));
    expect(openNote(signNote(TEXT, one) + forged, one.key)).toEqual({ text: TEXT });
    expect(openNote(both + forged, two.key)).toEqual({ fault: "bad_signature" });
  });

  it.each([
    "",
    "text\n",
    "text\n\n",
    "text\n\n— name",
    "text\n\nname AAAAAAAA\n",
    "text\n\n— name AAAA\n",
    "text\n\n— name AAAAAAA\n",
    "text\n\n—  AAAAAAAA\n",
    "text\n\n— name  AAAAAAAA\n",
    "text\n\n— name AAAAAAAA\n\n",
    NOTE.slice(0, -1),
    NOTE.replace("—", "-"),
    NOTE.replaceAll("\n", "\r\n"),
  ])("is none: %j", (note) => {
    expect(openNote(note, keyOf(PETER))).toEqual({ fault: "malformed" });
  });
});

function* bitFlips(text: string): Generator<string> {
  const bytes = Buffer.from(text);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield changed.toString();
  }
}
