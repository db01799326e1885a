import fc from "fast-check";
import { expect, it } from "vitest";
import { addressMatches, clientNetwork, isAddressBlock } from "../../src/domain/address.ts";

it.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
  ["::ffff:10.0.0.0/104", "10.1.2.3", true],
  ["192.0.2.7", "192.0.2.7", true],
  ["192.0.2.7", "::ffff:c000:207", true],
  ["192.0.2.7/32", "192.0.2.8", false],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "::1", false],
  ["::/0", "2001:db8::1", true],
  ["2001:db8::/32", "2001:db8:ffff::1", true],
  ["2001:db8::/32", "2001:db9::1", false],
  ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", true],
  ["nonsense", "192.0.2.7", false],
  ["10.0.0.0/8", "nonsense", false],
  ["10.0.0.0/8", "", false],
])("%s holds %s: %s", (block, address, holds) => expect(addressMatches(block, address)).toBe(holds));

it.each([
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/08",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "10.0.0/8",
  "::1/129",
  "fe80::1%eth0",
  "::ffff:1.2.3.4/95",
  "",
  "/8",
])("%j is no block", (text) => expect(isAddressBlock(text)).toBe(false));

/** An address as bits, worked out apart from the code under test. */
const toBits = (bytes: readonly number[]): string => bytes.map((byte) => byte.toString(2).padStart(8, "0")).join("");
const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => [...bytes]);
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => [0x20, ...[...bytes].slice(1)]);
const text4 = (bytes: readonly number[]): string => bytes.join(".");
const text6 = (bytes: readonly number[]): string =>
  Array.from({ length: 8 }, (_, group) =>
    (((bytes[2 * group] ?? 0) << 8) | (bytes[2 * group + 1] ?? 0)).toString(16),
  ).join(":");

it("agrees with a reference that compares bits, for 10,000 random pairs", () => {
  const near = (bytes: readonly number[], other: readonly number[], keep: number): number[] =>
    bytes.map((byte, index) => (index * 8 < keep ? byte : (other[index] ?? 0)));
  fc.assert(
    fc.property(
      fc.boolean(),
      ipv4,
      ipv4,
      ipv6,
      ipv6,
      fc.nat({ max: 128 }),
      fc.nat({ max: 128 }),
      (six, a4, b4, a6, b6, rawBits, keep) => {
        const [base, other] = six ? [a6, near(a6, b6, keep)] : [a4, near(a4, b4, keep % 33)];
        const bits = six ? rawBits : rawBits % 33;
        const text = six ? text6 : text4;
        const expected = toBits(base).slice(0, bits) === toBits(other).slice(0, bits);
        expect(addressMatches(`${text(base)}/${bits}`, text(other))).toBe(expected);
      },
    ),
    { numRuns: 10_000 },
  );
});

it.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["", ""],
  ["somewhere", "somewhere"],
])("%j is a client of %j", (address, network) => expect(clientNetwork(address)).toBe(network));

it("takes IPv6 addresses for one client when their first 64 bits are the same, and only then", () => {
  fc.assert(
    fc.property(ipv6, ipv6, fc.nat({ max: 16 }), (one, two, shared) => {
      const other = two.map((byte, index) => (index < shared ? (one[index] ?? 0) : byte));
      const isSame = toBits(one).slice(0, 64) === toBits(other).slice(0, 64);
      expect(clientNetwork(text6(one)) === clientNetwork(text6(other))).toBe(isSame);
    }),
  );
});
