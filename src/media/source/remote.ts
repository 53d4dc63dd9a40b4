import { lookup } from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import { BlockList, isIP } from 'node:net';
import { MediaError } from '../../core/errors.js';

const maxRedirects = 5;

export interface RemoteLimits {
  readonly allowPrivateAddresses: boolean;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/** Everything that is not the public internet: https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-. */
const privateAddresses = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  privateAddresses.addSubnet(network, prefix, 'ipv4');
/** Only global unicast is public in IPv6, and inside it these are not (translation and documentation prefixes). */
const publicAddresses6 = new BlockList();
publicAddresses6.addSubnet('2000::', 3, 'ipv6');
const exceptions6 = new BlockList();
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  exceptions6.addSubnet(network, prefix, 'ipv6');
}

/** Whether an address, not a name, belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !privateAddresses.check(address, 'ipv4');
  return (
    isIP(address) === 6 && publicAddresses6.check(address, 'ipv6') && !exceptions6.check(address, 'ipv6')
  );
}

/**
 * The body behind an http(s) URL. Redirects are followed a few times, and every address is checked
 * after the name was resolved and is the one connected to, so that no name can lead into a private
 * network.
 *
 * @throws MediaError `not-allowed`, `not-found`, `too-large`, `timeout`
 */
export async function* fetchRemote(
  url: URL,
  limits: RemoteLimits,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let target = url;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const response = await request(target, limits, signal);
    const status = response.statusCode ?? 0;
    const { location } = response.headers;
    if (status >= 300 && status < 400 && location) {
      response.destroy();
      target = followed(location, target);
      continue;
    }
    if (status !== 200) {
      response.destroy();
      throw new MediaError(
        'not-found',
        `${url.hostname} answered ${status} for the attachment. Check the address.`,
      );
    }
    if (Number(response.headers['content-length'] ?? 0) > limits.maxBytes) {
      response.destroy();
      throw new MediaError('too-large', `The file at ${url.hostname} is larger than maxBytes allows.`);
    }
    yield* body(response, url);
    return;
  }
  throw new MediaError('not-allowed', `${url.hostname} redirects more than ${maxRedirects} times.`);
}

async function* body(response: IncomingMessage, url: URL): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* response as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new MediaError('not-found', `The download from ${url.hostname} broke off. Try again.`, { cause });
  } finally {
    response.destroy();
  }
}

function followed(location: string, from: URL): URL {
  if (!URL.canParse(location, from.href)) {
    throw new MediaError('not-found', `${from.hostname} redirects to an address that is not a valid URL.`);
  }
  const target = new URL(location, from);
  if (target.protocol === 'http:' || target.protocol === 'https:') return target;
  throw new MediaError('not-allowed', `${from.hostname} redirects to ${target.protocol}, which is not read.`);
}

function request(url: URL, limits: RemoteLimits, signal: AbortSignal): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address in place of a name is never looked up, so it is checked here.
  if (isIP(host) && !limits.allowPrivateAddresses && !isPublicAddress(host))
    return Promise.reject(refusal(host));
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? https : http).get(
      url,
      {
        signal,
        lookup: limits.allowPrivateAddresses ? undefined : publicLookup,
        agent: false,
        timeout: limits.timeoutMs,
        headers: { accept: 'image/*, video/*, audio/*, application/pdf' },
      },
      resolve,
    );
    call.on('timeout', () => call.destroy(new MediaError('timeout', `${host} did not answer in time.`)));
    call.on('error', (cause) => {
      if (signal.aborted) reject(signal.reason);
      else if (MediaError.isInstance(cause)) reject(cause);
      else reject(new MediaError('not-found', `${host} cannot be reached. Check the address.`, { cause }));
    });
  });
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const refused = addresses.find(({ address }) => !isPublicAddress(address));
    if (refused) return callback(refusal(hostname), []);
    const [first] = addresses;
    if (options.all || !first) return callback(null, addresses);
    return callback(null, first.address, first.family);
  });
};

function refusal(host: string): MediaError {
  return new MediaError('not-allowed', `${host} is not on the public internet, so it is not fetched.`);
}
