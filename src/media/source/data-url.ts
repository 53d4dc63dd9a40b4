import { InvalidInputError } from '../../core/errors.js';
import type { MediaData } from '../../core/media.js';
import { isDataUrl } from './named-media.js';
import { tooLarge } from './too-large.js';

/**
 * The bytes of a `data:` URL with its type (RFC 2397); any other data as it is.
 *
 * @throws MediaError `too-large`, before anything is decoded.
 * @throws InvalidInputError
 */
export function readDataUrl(
  data: MediaData,
  name: string,
  maxBytes: number,
): { readonly data: MediaData; readonly mimeType?: string | undefined } {
  const given = data instanceof URL && data.protocol === 'data:' ? data.href : data;
  if (typeof given !== 'string' || !isDataUrl(given)) return { data };
  const comma = given.indexOf(',');
  const header = given.slice('data:'.length, Math.max(0, comma));
  const isBase64 = /;\s*base64\s*$/i.test(header);
  // An escaped byte takes three characters; four of base64 hold three bytes.
  if (given.length - comma > maxBytes * 3 + paddingLength) throw tooLarge(name, maxBytes);
  if (comma < 0 || !URL.canParse(given)) throw notReadable();
  // Parsing escapes what is not ASCII and drops line breaks; a fragment is not data.
  const { hash, href } = new URL(given);
  const body = unescapeBytes(href.slice(href.indexOf(',') + 1, href.length - hash.length));
  const [mimeType] = header.split(';', 1);
  return {
    data: isBase64 ? decodeBase64(body.toString('latin1'), name, maxBytes) : body,
    mimeType: mimeType?.trim() || undefined,
  };
}

const paddingLength = 4;

function unescapeBytes(text: string): Buffer {
  const unescaped = text.replace(/%([\da-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(unescaped, 'latin1');
}

function decodeBase64(text: string, name: string, maxBytes: number): Uint8Array {
  if (text.length > Math.ceil(maxBytes / 3) * 4 + paddingLength) throw tooLarge(name, maxBytes);
  if (!/^[\w+/\s-]*={0,2}\s*$/.test(text)) throw notReadable();
  return Buffer.from(text, 'base64');
}

function notReadable(): InvalidInputError {
  return new InvalidInputError(
    'A data: URL of an attachment cannot be read. It begins like "data:image/png;base64,", followed by its bytes.',
  );
}
