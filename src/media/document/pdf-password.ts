import { createCipheriv, createHash } from 'node:crypto';
import { readPdfString } from './pdf-string.js';

/** What is put after a password (ISO 32000-1, 7.6.3.3), so it is all of an empty one. */
const padding = Buffer.from('28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a', 'hex');

/**
 * Whether a PDF opens without a password: it is not encrypted, or only its owner's rights are behind one.
 * `content` is the file, a character for each byte.
 */
export function opensWithoutPassword(content: string): boolean {
  const [, id] = /\/Encrypt\s+(\d{1,10})\s+\d+\s+R/.exec(content) ?? [];
  const at =
    id === undefined
      ? content.search(/\/Encrypt\s*<</)
      : content.search(new RegExp(`\\b${id}\\s+\\d+\\s+obj`));
  if (at < 0) return id === undefined;
  const [dictionary = ''] = content.slice(at, at + maxDictionaryChars).split('endobj', 1);
  const number = (key: string) =>
    Number(new RegExp(`/${key}\\s+(-?\\d{1,10})\\b`).exec(dictionary)?.[1] ?? 0);
  const revision = number('R');
  const user = readPdfString(dictionary, /\/U\s*(?=[<(])/);
  if (!/\/Filter\s*\/Standard/.test(dictionary) || user.length < 32) return false;
  if (revision >= 5) {
    const owner = readPdfString(dictionary, /\/O\s*(?=[<(])/);
    const opens = (check: Buffer, ...more: Uint8Array[]) => {
      const salt = check.subarray(32, 40);
      const hash = revision === 5 ? sha(256, salt, ...more) : hardenedHash(salt, ...more);
      return hash.equals(check.subarray(0, 32));
    };
    // An owner's password that is empty opens it as well.
    return opens(user) || opens(owner, user.subarray(0, 48));
  }
  const version = number('V');
  const bits = version === 1 ? 40 : version === 4 ? 128 : number('Length') || 40;
  const rights = Buffer.alloc(4);
  rights.writeInt32LE(number('P') | 0);
  const identifier = readPdfString(content, /\/ID\s*\[\s*(?=[<(])/);
  const isMetadataOpen = revision >= 4 && /\/EncryptMetadata\s+false/.test(dictionary);
  const key = [padding, readPdfString(dictionary, /\/O\s*(?=[<(])/).subarray(0, 32), rights, identifier];
  let hash = md5(...key, Buffer.alloc(isMetadataOpen ? 4 : 0, 0xff)).subarray(0, Math.min(16, bits / 8));
  if (revision === 2) return rc4(hash, padding).equals(user.subarray(0, 32));
  for (let round = 0; round < 50; round += 1) hash = md5(hash).subarray(0, hash.length);
  let check = md5(padding, identifier);
  for (let round = 0; round < 20; round += 1)
    check = rc4(
      hash.map((byte) => byte ^ round),
      check,
    );
  return check.equals(user.subarray(0, 16));
}

const maxDictionaryChars = 10_000;

/** The hash of revision 6 (ISO 32000-2, 7.6.4.3.4) for an empty password; of an owner's with what there is of the user's. */
function hardenedHash(salt: Uint8Array, ...user: Uint8Array[]): Buffer {
  let key = sha(256, salt, ...user);
  for (let round = 0, last = 0; round < 64 || last > round - 32; round += 1) {
    const repeated = Buffer.concat(new Array<Uint8Array[]>(64).fill([key, ...user]).flat());
    const cipher = createCipheriv('aes-128-cbc', key.subarray(0, 16), key.subarray(16, 32));
    const encrypted = cipher.setAutoPadding(false).update(repeated);
    const remainder = encrypted.subarray(0, 16).reduce((sum, byte) => sum + byte, 0) % 3;
    key = sha(([256, 384, 512] as const)[remainder] ?? 256, encrypted);
    last = encrypted.at(-1) ?? 0;
  }
  return key.subarray(0, 32);
}

const sha = (bits: 256 | 384 | 512, ...parts: Uint8Array[]) => hashOf(`sha${bits}`, parts);
const md5 = (...parts: Uint8Array[]) => hashOf('md5', parts);

function hashOf(algorithm: string, parts: readonly Uint8Array[]): Buffer {
  return createHash(algorithm).update(Buffer.concat(parts)).digest();
}

/** Node has this cipher no more, because it is weak. */
function rc4(key: Uint8Array, data: Uint8Array): Buffer {
  const state = Uint8Array.from({ length: 256 }, (_, i) => i);
  const swap = (i: number, j: number) => {
    [state[i], state[j]] = [state[j] ?? 0, state[i] ?? 0];
  };
  for (let i = 0, j = 0; i < 256; i += 1) {
    j = (j + (state[i] ?? 0) + (key[i % key.length] ?? 0)) & 255;
    swap(i, j);
  }
  let [i, j] = [0, 0];
  return Buffer.from(data).map((byte) => {
    i = (i + 1) & 255;
    j = (j + (state[i] ?? 0)) & 255;
    swap(i, j);
    return byte ^ (state[((state[i] ?? 0) + (state[j] ?? 0)) & 255] ?? 0);
  }) as Buffer;
}
