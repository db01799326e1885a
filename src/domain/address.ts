/** Addresses and CIDR blocks, IPv4 and IPv6. An IPv4-mapped IPv6 address is the IPv4 address. */
import { BlockList, isIP, isIPv4, SocketAddress } from "node:net";

interface Block {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly bits: number;
}

const MAPPED_PREFIX_BITS = 96;

/** Whether the text is an address or a CIDR block. */
export function isAddressBlock(text: string): boolean {
  return parseBlock(text) !== undefined;
}

/** Whether the address lies in the block. False when either of them isn't one. */
export function addressMatches(block: string, address: string): boolean {
  const outer = parseBlock(block);
  const inner = parseAddress(address);
  if (outer === undefined || inner === undefined || outer.family !== inner.family) return false;
  const list = new BlockList();
  list.addSubnet(outer.address, outer.bits, outer.family);
  return list.check(inner.address, inner.family);
}

/** One spelling for each address, without the zone of a link; undefined for what isn't an address. */
export function plainAddress(text: string): string | undefined {
  const zone = text.indexOf("%");
  return parseAddress(zone < 0 ? text : text.slice(0, zone))?.address;
}

/** The bits of an IPv6 address that name a network; the rest a client chooses as it likes (RFC 4291, 2.5.4). */
const IPV6_NETWORK_BITS = 64;

/**
 * What stands for one client where clients are counted: an IPv4 address, or the /64 network of an IPv6
 * address. What isn't an address stands for itself.
 */
export function clientNetwork(text: string): string {
  const address = plainAddress(text);
  if (address === undefined || isIPv4(address)) return address ?? text;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  // Zeros stand where the address is cut short.
  const zeros = Array.from({ length: 8 - groups.length - rest.length }, () => "0");
  return `${[...groups, ...zeros, ...rest].slice(0, IPV6_NETWORK_BITS / 16).join(":")}::/${IPV6_NETWORK_BITS}`;
}

function parseBlock(text: string): Block | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return parseAddress(text);
  const bitsText = text.slice(slash + 1);
  const base = text.slice(0, slash);
  const address = parseAddress(base);
  if (address === undefined || !/^(?:0|[1-9]\d{0,2})$/.test(bitsText)) return undefined;
  const wasMapped = address.family === "ipv4" && !isIPv4(base);
  const bits = Number(bitsText) - (wasMapped ? MAPPED_PREFIX_BITS : 0);
  return bits >= 0 && bits <= address.bits ? { ...address, bits } : undefined;
}

function parseAddress(text: string): Block | undefined {
  const version = isIP(text);
  // A zone ("fe80::1%eth0") means something on one host only.
  if (version === 0 || text.includes("%")) return undefined;
  if (version === 4) return { address: text, family: "ipv4", bits: 32 };
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped === undefined ? { address, family: "ipv6", bits: 128 } : { address: mapped, family: "ipv4", bits: 32 };
}
