/** The rules in the protos mean here what they mean to everybody who validates with them. */
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ListEventsRequestSchema } from "../../gen/latchkey/v1/audit_pb.ts";
import { IntrospectRequestSchema } from "../../gen/latchkey/v1/introspection_pb.ts";
import { ImportedTokenSchema, IssueRequestSchema } from "../../gen/latchkey/v1/token_pb.ts";
import { findFaults } from "../../src/rpc/validation.ts";

const standard = createValidator();

/** Short, for one character that isn't allowed is enough, and of all kinds. */
const TEXT = fc.oneof(
  fc.string({ unit: "binary", maxLength: 3 }),
  fc.string({ unit: "binary-ascii", maxLength: 30 }),
  fc.constantFrom("", " ", "\u2003", "\u00a0 ", "a\n", "\n", "a\u0085", "\u200b", "\ue000", "\u{e0001}", "\u0378", "é"),
);

describe("patterns in the protos", () => {
  it("let through what the standard validator lets through", () => {
    fc.assert(
      fc.property(TEXT, TEXT, TEXT, (name, idempotencyKey, label) => {
        expectSameFaults(IssueRequestSchema, { name, idempotencyKey, metadata: { [label]: label } });
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(TEXT, TEXT, TEXT, (name, plaintext, hint) => {
        expectSameFaults(ImportedTokenSchema, { name, plaintext, hint });
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the character U+0000", () => {
  const description = "must not hold the character U+0000";
  const faultsOf = <S extends DescMessage>(schema: S, init: MessageInitShape<S>) =>
    findFaults(schema, create(schema, init));

  it("is refused in what may be stored or looked for, and the field is named", () => {
    expect(faultsOf(ListEventsRequestSchema, { actor: "a\0", actions: ["x", "\0"], target: "a" })).toEqual([
      { field: "actions", description },
      { field: "actor", description },
    ]);
  });

  it("is named once where a rule of the field refuses it already", () => {
    const faults = faultsOf(IssueRequestSchema, { name: "a\0b", metadata: { a: "\0" } });
    expect(faults.filter(({ field }) => field === "name")).toHaveLength(1);
    expect(faults.filter(({ field }) => field.startsWith("metadata"))).toHaveLength(1);
  });

  it("is let through in a secret, which is hashed, and is like any other that nobody has", () => {
    expect(faultsOf(IntrospectRequestSchema, { token: "wp_\0" })).toEqual([]);
  });
});

function expectSameFaults<S extends DescMessage>(schema: S, init: MessageInitShape<S>): void {
  const message = create(schema, init);
  const { violations = [] } = standard.validate(schema, message);
  const ours = findFaults(schema, message).filter(({ description }) => !description.includes("U+0000"));
  expect(ours.map(({ field }) => field)).toEqual(violations.map(({ field }) => pathToString(field)));
}
