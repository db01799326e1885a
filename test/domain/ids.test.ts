import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromPublicId, toPublicId, uuidV7 } from "../../src/domain/ids.ts";

describe("uuidV7", () => {
  it("has the time, the version and the variant of RFC 9562", () => {
    // The example of RFC 9562, appendix A.6.
    const random = Buffer.from("0CC318C4DC0C0C07398F", "hex");
    expect(uuidV7(0x017f22e279b0, random)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  });

  it("sorts by time", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), fc.nat({ max: 2 ** 40 }), (one, two) => {
        const [a, b] = [uuidV7(one, randomBytes(10)), uuidV7(two, randomBytes(10))];
        return one === two || one < two === a < b;
      }),
    );
  });
});

describe("public ids", () => {
  it("agree with the TypeID specification", () => {
    expect(toPublicId("usr", "01890a5d-ac96-774b-bcce-b302099a8057")).toBe("usr_01h455vb4pex5vsknk084sn02q");
    expect(toPublicId("org", "00000000-0000-0000-0000-000000000000")).toBe("org_00000000000000000000000000");
    expect(toPublicId("tok", "ffffffff-ffff-ffff-ffff-ffffffffffff")).toBe("tok_7zzzzzzzzzzzzzzzzzzzzzzzzz");
  });

  it("come back as they went", () => {
    fc.assert(fc.property(fc.uuid(), (id) => fromPublicId("tok", toPublicId("tok", id)) === id));
  });

  it.each([
    "",
    "tok_",
    "tok_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "org_01h455vb4pex5vsknk084sn02q",
    "tok_01H455VB4PEX5VSKNK084SN02Q",
    "tok_01h455vb4pex5vsknk084sn02l",
    "tok_01h455vb4pex5vsknk084sn02q ",
  ])("are not %j", (text) => expect(fromPublicId("tok", text)).toBeUndefined());

  it("are exactly the texts that they print as", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(...Array.from("0123456789abcdefghjkmnpqrstvwxyz")),
          minLength: 26,
          maxLength: 26,
        }),
        (digits) => {
          const id = fromPublicId("tok", `tok_${digits}`);
          return id === undefined ? digits.charAt(0) > "7" : toPublicId("tok", id) === `tok_${digits}`;
        },
      ),
    );
  });
});
