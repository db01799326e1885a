/** Hashed passwords: what is stored of them, and who may sign in. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createPasswordHasher, OWASP_COST } from "../../src/security/passwords.ts";

const PASSWORD = "correct horse battery staple";
const LOW_COST = { memoryKib: 64, passes: 1 };

const usual = createPasswordHasher(randomBytes, OWASP_COST);
const cheap = createPasswordHasher(randomBytes, LOW_COST);

describe("hashed passwords", () => {
  it("cost what OWASP asks for, and say so", async () => {
    expect(OWASP_COST).toEqual({ memoryKib: 19_456, passes: 2 });
    const hash = await usual.hash(PASSWORD);
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(await usual.verify(hash, PASSWORD)).toBe(true);
    expect(await usual.verify(hash, `${PASSWORD}!`)).toBe(false);
  });

  it("are salted, and the same however a keyboard writes a letter", async () => {
    const [one, other] = [await cheap.hash("caf\u{e9}"), await cheap.hash("caf\u{e9}")];
    expect(one).not.toBe(other);
    expect(await cheap.verify(one, "cafe\u{301}")).toBe(true);
  });

  it("are verified at the cost that they were made at", async () => {
    expect(await usual.verify(await cheap.hash(PASSWORD), PASSWORD)).toBe(true);
    expect(await cheap.verify(await usual.hash(PASSWORD), PASSWORD)).toBe(true);
  });

  it("are nobody's where there are none", async () => {
    expect(await cheap.verify(undefined, PASSWORD)).toBe(false);
  });
});
