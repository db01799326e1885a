/** The encoding of events, as `docs/audit.md` specifies it, and what a verification finds. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AuditEvent,
  type ChainHead,
  EMPTY_CHAIN,
  encodeEvent,
  findFault,
  hashEvent,
  nextEvent,
} from "../../src/domain/audit.ts";
import { fromPublicId, toPublicId } from "../../src/domain/ids.ts";
import { someChange } from "../contract/samples.ts";

const ORGANIZATION = "01890a5d-ac96-774b-bcce-b302099a8057";

describe("the worked example of docs/audit.md", () => {
  const page = readFileSync(new URL("../../docs/audit.md", import.meta.url), "utf8");
  const block = (language: string): string => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(page)?.[1] ?? "";
  const json = JSON.parse(block("json")) as Record<string, string> &
    Pick<AuditEvent, "actor" | "action" | "scopes" | "details">;
  const event: AuditEvent = {
    revision: Number(json["revision"]),
    organizationId: fromPublicId("org", json["organizationId"] ?? "") ?? "",
    sequence: Number(json["sequence"]),
    at: new Date(json["time"] ?? ""),
    actor: json.actor,
    address: json["address"] ?? "",
    action: json.action,
    target: json["target"] ?? "",
    targetName: json["targetName"] ?? "",
    scopes: json.scopes,
    details: json.details,
    requestId: json["requestId"] ?? "",
    previousHash: Buffer.from(json["previousHash"] ?? "", "base64"),
    hash: Buffer.from(json["hash"] ?? "", "base64"),
  };

  it("is what the code makes of it", () => {
    expect(Buffer.from(encodeEvent(event)).toString("hex")).toBe(block("text").replaceAll("\n", ""));
    expect(Buffer.from(hashEvent(event)).toString("hex")).toBe(/`([0-9a-f]{64})`/.exec(page)?.[1]);
    expect(findFault(EMPTY_CHAIN, event)).toBeUndefined();
  });

  it("holds by the page's own words, without the code", () => {
    const text = (value: string | undefined): Buffer => Buffer.from(value ?? "", "utf8");
    const number = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      new DataView(bytes.buffer, bytes.byteOffset).setBigInt64(0, BigInt(value));
      return bytes;
    };
    const list = (all: readonly Buffer[]): Buffer =>
      Buffer.concat(all.flatMap((bytes) => [number(bytes.length).subarray(4), bytes]));
    const names = Object.keys(json.details).toSorted();
    const encoded = list([
      text("latchkey.audit.event.v1"),
      Buffer.from(json["previousHash"] ?? "", "base64"),
      text(json["organizationId"]),
      number(Number(json["sequence"])),
      number(Number(json["revision"])),
      number(Date.parse(json["time"] ?? "")),
      text(json.actor.kind),
      text(json.actor.id),
      text(json["address"]),
      text(json.action),
      text(json["target"]),
      text(json["targetName"]),
      list(json.scopes.map(text)),
      list(names.flatMap((name) => [text(name), text(json.details[name])])),
      text(json["requestId"]),
    ]);
    expect(encoded).toHaveLength(330);
    expect(createHash("sha256").update(encoded).digest("base64")).toBe(json["hash"]);
  });
});

describe("the encoding", () => {
  const text = fc.string({ unit: "binary", maxLength: 6 });
  const events = fc.record({
    revision: fc.nat(),
    sequence: fc.nat(),
    organizationId: fc.uuid(),
    at: fc.date({ noInvalidDate: true }),
    actor: fc.record({ kind: fc.constantFrom("user", "token"), id: text }),
    address: text,
    action: fc.constantFrom("token.issued", "token.revoked"),
    target: text,
    targetName: text,
    scopes: fc.array(text, { maxLength: 3 }),
    details: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
    requestId: text,
    previousHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  });

  it("can be read back, so no two events have the same", () => {
    fc.assert(
      fc.property(events, (event) => {
        const [tag, previousHash, organizationId, sequence, revision, at, ...rest] = elements(encodeEvent(event));
        expect([tag, organizationId].map(String)).toEqual([
          "latchkey.audit.event.v1",
          toPublicId("org", event.organizationId),
        ]);
        expect(previousHash).toEqual(Buffer.from(event.previousHash));
        expect([sequence, revision, at].map((bytes) => bytes?.readBigInt64BE())).toEqual(
          [event.sequence, event.revision, event.at.getTime()].map(BigInt),
        );
        const [scopes, details] = rest.splice(6, 2);
        expect(elements(scopes).map(String)).toEqual(event.scopes);
        const pairs = elements(details).map(String);
        expect(pairs.filter((_, index) => index % 2 === 1)).toEqual(
          pairs.filter((_, index) => index % 2 === 0).map((name) => event.details[name]),
        );
        expect(pairs).toHaveLength(Object.keys(event.details).length * 2);
        const { actor, address, action, target, targetName, requestId } = event;
        const texts = [actor.kind, actor.id, address, action, target, targetName, requestId];
        expect(rest.map(String)).toEqual(texts);
      }),
    );
  });

  it("doesn't move text from one field to the next, nor from one element to another", () => {
    const encode = (fields: Partial<AuditEvent>): string =>
      Buffer.from(encodeEvent({ ...chain(1)[0], ...fields } as AuditEvent)).toString("hex");
    expect(encode({ target: "ab", targetName: "c" })).not.toBe(encode({ target: "a", targetName: "bc" }));
    expect(encode({ scopes: ["a", "b"] })).not.toBe(encode({ scopes: ["ab"] }));
    expect(encode({ scopes: [""] })).not.toBe(encode({ scopes: [] }));
    expect(encode({ details: { a: "b" } })).not.toBe(encode({ scopes: ["a", "b"], details: {} }));
    expect(encode({ details: { a: "1", b: "2" } })).toBe(encode({ details: { b: "2", a: "1" } }));
  });
});

describe("a verification", () => {
  it("finds an event that was taken out, doubled, moved or taken from another chain", () => {
    const events = chain(5);
    const [first, second, third, fourth, fifth] = events as [
      AuditEvent,
      AuditEvent,
      AuditEvent,
      AuditEvent,
      AuditEvent,
    ];
    expect(verify(events)).toBeUndefined();
    expect(verify([second, third])).toBe("sequence");
    expect(verify([first, third, fourth])).toBe("sequence");
    expect(verify([first, second, second])).toBe("sequence");
    expect(verify([first, third, second, fourth, fifth])).toBe("sequence");
    const other = chain(5, "another-request");
    expect(verify([first, second, other[2] ?? first])).toBe("previous_hash");
  });

  it("finds a revision that doesn't rise, also where it was hashed so", () => {
    const [first] = chain(1);
    const occurrence = { ...first } as AuditEvent;
    const stale = nextEvent(occurrence, occurrence.revision, someChange(), occurrence);
    expect(verify([occurrence, stale])).toBe("revision");
  });

  it("calls numbers and ids that no event has a fault, and never throws", () => {
    const [first] = chain(1) as [AuditEvent];
    for (const edited of [
      { at: new Date(Number.NaN) },
      { revision: 2 ** 63 },
      { revision: 1.5 },
      { organizationId: "x" },
    ]) {
      expect(verify([{ ...first, ...edited }])).toBe("hash");
    }
    expect(verify([{ ...first, sequence: Number.NaN }])).toBe("sequence");
    expect(verify([{ ...first, revision: Number.NaN }])).toBe("revision");
  });
});

function chain(length: number, requestId = "request"): AuditEvent[] {
  const events: AuditEvent[] = [];
  for (let index = 0; index < length; index++) {
    const occurrence = {
      organizationId: ORGANIZATION,
      action: "token.issued",
      target: `tok_${index}`,
      targetName: "deploy",
      scopes: [],
      details: {},
    } as const;
    events.push(nextEvent(events.at(-1) ?? EMPTY_CHAIN, index + 10, someChange({ requestId }), occurrence));
  }
  return events;
}

function verify(events: readonly AuditEvent[]): string | undefined {
  let head: ChainHead = EMPTY_CHAIN;
  for (const event of events) {
    const fault = findFault(head, event);
    if (fault !== undefined) return fault;
    head = event;
  }
  return undefined;
}

/** The fields behind their lengths. */
function elements(encoded: Uint8Array | undefined): Buffer[] {
  const bytes = Buffer.from(encoded ?? []);
  const found: Buffer[] = [];
  for (let place = 0; place < bytes.length; ) {
    const end = place + 4 + bytes.readUInt32BE(place);
    found.push(bytes.subarray(place + 4, end));
    place = end;
  }
  return found;
}
