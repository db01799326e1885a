/** Who is at the other end, seen through the proxies in between. */
import { isIP, SocketAddress } from "node:net";
import { addressMatches } from "../domain/address.ts";

/** A client behind trusted proxies can make the list of hops as long as the header size allows. */
const MAX_HOPS = 32;

/**
 * The client's address, without its port. `X-Forwarded-For` counts as far as trusted proxies wrote it:
 * each appends the address that it saw, so the list is read from the right, and whatever stands to the
 * left of the first address that is not a trusted proxy's is hearsay.
 *
 * @param remote address of the connection
 * @param forwardedFor value of `X-Forwarded-For`
 * @param trustedProxies addresses and CIDR blocks
 */
export function clientAddress(
  remote: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: readonly string[],
): string {
  let client = canonicalAddress(remote ?? "") ?? "";
  if (forwardedFor === undefined) return client;
  const isTrusted = (address: string): boolean => trustedProxies.some((block) => addressMatches(block, address));
  for (const hop of forwardedFor.split(",").toReversed().slice(0, MAX_HOPS)) {
    if (!isTrusted(client)) break;
    const address = canonicalAddress(withoutPort(hop.trim()));
    if (address === undefined) break;
    client = address;
  }
  return client;
}

/** Some proxies write the port too: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[(.*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

/** One spelling for each address; an IPv4-mapped IPv6 address is the IPv4 address. */
function canonicalAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 0) return undefined;
  if (version === 4 || text.includes("%")) return text;
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
