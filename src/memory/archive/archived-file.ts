import { createHash } from 'node:crypto';
import type { PreparedMedia, PreparedPart } from '../../types.js';
import type { ArchivedMedia } from '../media-archive.js';

type Header = Omit<ArchivedMedia, 'id' | 'lastAt' | 'parts'> & {
  readonly parts: readonly (Omit<PreparedPart, 'data'> & { readonly bytes: number })[];
};

/** The beginning of every file: what it is, in which version. */
const magic = Buffer.from('MMCMEDIA1\n');
const lengthBytes = 4;
const longestHeader = 2 ** 20;

/** Where the header ends is known once so many bytes were read. */
export const preambleBytes = magic.length + lengthBytes;

/** The same for the same attachment under the same name and shown in the same way. */
export function idOf(media: PreparedMedia): string {
  const shown = media.parts.map(({ mimeType, tile, timestampMs }) => [mimeType, timestampMs, tile]);
  return createHash('sha256')
    .update(JSON.stringify([media.fingerprint, media.name, shown]))
    .digest('hex')
    .slice(0, 40);
}

/** An attachment as the bytes of a file: magic, length of the header, the header as JSON, the parts. */
export function encodeArchived(media: PreparedMedia, firstAt: number): Buffer {
  const { estimatedTokens, fingerprint, kind, name, source } = media;
  const header: Header = {
    kind,
    name,
    fingerprint,
    source,
    estimatedTokens,
    firstAt,
    parts: media.parts.map(({ data, ...part }) => ({ ...part, bytes: data.byteLength })),
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(json.length);
  return Buffer.concat([magic, length, json, ...media.parts.map(({ data }) => data)]);
}

/** Length of the header, from the first `preambleBytes`; nothing when it is no such file. */
export function headerLength(preamble: Uint8Array): number | undefined {
  const bytes = Buffer.from(preamble.buffer, preamble.byteOffset, preamble.byteLength);
  if (bytes.length < preambleBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const length = bytes.readUInt32BE(magic.length);
  return length <= longestHeader ? length : undefined;
}

/** What the header says; nothing when it is damaged or the file is shorter than it says. */
export function readHeader(json: Uint8Array, fileBytes: number): Header | undefined {
  let header: Header;
  try {
    header = JSON.parse(Buffer.from(json).toString('utf8')) as Header;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const expected = header.parts.reduce((sum, { bytes }) => sum + bytes, preambleBytes + json.byteLength);
  return expected === fileBytes ? header : undefined;
}

/** The bytes of each part of a whole file; nothing when it is damaged. */
export function decodeParts(file: Uint8Array): readonly Uint8Array[] | undefined {
  const length = headerLength(file.subarray(0, preambleBytes));
  if (length === undefined) return undefined;
  const header = readHeader(file.subarray(preambleBytes, preambleBytes + length), file.byteLength);
  let from = preambleBytes + length;
  return header?.parts.map(({ bytes }) => {
    from += bytes;
    return file.subarray(from - bytes, from);
  });
}
