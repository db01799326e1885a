import { describe, expect, it } from "vitest";
import { clientAddress } from "../../src/http/peer.ts";

const TRUSTED = ["10.0.0.0/8", "::1", "2001:db8::/32"];

describe("the client's address", () => {
  it.each<[string, string | undefined, string | undefined, string]>([
    ["the connection's without a header", "10.0.0.1", undefined, "10.0.0.1"],
    ["the connection's when a stranger sends one", "192.0.2.1", "203.0.113.9", "192.0.2.1"],
    ["the rightmost that isn't a trusted proxy's", "10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"],
    ["the leftmost when all are trusted proxies'", "10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"],
    ["the last proxy's when the header is rubbish", "10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"],
    ["the last proxy's when the header is empty", "10.0.0.1", "", "10.0.0.1"],
    ["an IPv4 address however it is mapped", "::ffff:192.0.2.1", undefined, "192.0.2.1"],
    ["an IPv4 address however it is mapped by a proxy", "::ffff:10.0.0.1", "::FFFF:c000:201", "192.0.2.1"],
    ["IPv6 in one spelling", "::1", "2001:DB9:0:0::1", "2001:db9::1"],
    ["without the port that some proxies add", "::1", "192.0.2.1:4711", "192.0.2.1"],
    ["without brackets and port", "::1", "[2001:db9::1]:4711", "2001:db9::1"],
    ["found through IPv6 proxies", "2001:db8::1", "192.0.2.1", "192.0.2.1"],
    ["local with its zone", "fe80::1%eth0", undefined, "fe80::1%eth0"],
    ["empty when the connection is gone already", undefined, "192.0.2.1", ""],
  ])("is %s", (_, remote, forwardedFor, expected) => {
    expect(clientAddress(remote, forwardedFor, TRUSTED)).toBe(expected);
  });

  it("is found in bounded time", () => {
    const many = Array.from({ length: 5000 }, () => "10.0.0.2").join(",");
    expect(clientAddress("10.0.0.1", `192.0.2.1,${many}`, TRUSTED)).toBe("10.0.0.2");
  });
});
