import { isIP, isIPv6 } from 'node:net';

/**
 * What counts as one client: an IPv4 address, the /64 of an IPv6 address, all of loopback. Returns undefined
 * if it is no address.
 */
export function clientKey(address: string | undefined): string | undefined {
  const [plain = ''] = address?.split('%', 1) ?? [];
  if (isIP(plain) === 0) return undefined;
  const groups = isIPv6(plain) ? groupsOf(plain) : undefined;
  const mapped = groups?.slice(0, 6).join(':') === '0:0:0:0:0:ffff' ? ipv4Of(groups.slice(6)) : undefined;
  const ipv4 = groups === undefined ? plain : mapped;
  if (ipv4?.startsWith('127.') || groups?.join(':') === '0:0:0:0:0:0:0:1') return 'loopback';
  return ipv4 ?? `${groups?.slice(0, 4).join(':')}::/64`;
}

/** The eight groups, without leading zeros, as the URL parser normalizes them. */
function groupsOf(address: string): readonly string[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const split = (part: string | undefined) => (part ? part.split(':') : []);
  const [left, right] = [split(head), split(tail)];
  return [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
}

const ipv4Of = (groups: readonly string[]) =>
  groups
    .map((group) => Number.parseInt(group, 16))
    .flatMap((value) => [value >> 8, value & 255])
    .join('.');
