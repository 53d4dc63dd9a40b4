import { createHash } from 'node:crypto';
import type { PreparedMedia, PreparedPart } from '../../core/media.js';
import type { ArchivedMedia } from '../media-archive.js';

type Header = Omit<ArchivedMedia, 'id' | 'lastAt' | 'parts'> & {
  readonly parts: readonly (Omit<PreparedPart, 'data'> & {
    readonly bytes: number;
    readonly sha256: string;
  })[];
};

/** The beginning of every file: format and version. */
const magic = Buffer.from('MMCMEDIA1\n');
const lengthBytes = 4;
const digestBytes = 32;
const longestHeader = 2 ** 20;

/** Bytes before the header: magic, the header's length, its SHA-256. */
export const preambleBytes = magic.length + lengthBytes + digestBytes;

/** Length and SHA-256 of the header. */
export interface Preamble {
  readonly length: number;
  readonly digest: Buffer;
}

/** The same for the same attachment under the same name and shown in the same way. */
export function idOf(media: PreparedMedia): string {
  const shown = media.parts.map(({ mimeType, tile, timestampMs }) => [mimeType, timestampMs, tile]);
  return createHash('sha256')
    .update(JSON.stringify([media.fingerprint, media.name, shown]))
    .digest('hex')
    .slice(0, 40);
}

/** An attachment as the bytes of a file: the preamble, the header as JSON, the parts. */
export function encodeArchived(media: PreparedMedia, firstAt: number): Buffer {
  const { estimatedTokens, fingerprint, kind, name, source } = media;
  const header: Header = {
    kind,
    name,
    fingerprint,
    source,
    estimatedTokens,
    firstAt,
    parts: media.parts.map(({ data, ...part }) => ({
      ...part,
      bytes: data.byteLength,
      sha256: sha256(data).toString('hex'),
    })),
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(json.length);
  return Buffer.concat([magic, length, sha256(json), json, ...media.parts.map(({ data }) => data)]);
}

/** Reads the first `preambleBytes`; undefined if this is no such file. */
export function readPreamble(start: Buffer): Preamble | undefined {
  if (start.length < preambleBytes || !start.subarray(0, magic.length).equals(magic)) return undefined;
  const length = start.readUInt32BE(magic.length);
  if (length > longestHeader) return undefined;
  return { length, digest: start.subarray(magic.length + lengthBytes, preambleBytes) };
}

/** Reads the header; undefined if it is damaged or the file is not of the length that it names. */
export function readHeader(json: Buffer, { digest }: Preamble, fileBytes: number): Header | undefined {
  if (!sha256(json).equals(digest)) return undefined;
  const header = JSON.parse(json.toString('utf8')) as Header;
  const expected = header.parts.reduce((sum, { bytes }) => sum + bytes, preambleBytes + json.length);
  return expected === fileBytes ? header : undefined;
}

/** The bytes of each part of a whole file; undefined if it is damaged. */
export function decodeParts(file: Buffer): readonly Uint8Array[] | undefined {
  const preamble = readPreamble(file.subarray(0, preambleBytes));
  if (preamble === undefined) return undefined;
  const headerEnd = preambleBytes + preamble.length;
  const header = readHeader(file.subarray(preambleBytes, headerEnd), preamble, file.length);
  if (header === undefined) return undefined;
  let from = headerEnd;
  const parts = header.parts.map((part) => {
    from += part.bytes;
    return { part, data: file.subarray(from - part.bytes, from) };
  });
  const isWhole = parts.every(({ data, part }) => sha256(data).toString('hex') === part.sha256);
  return isWhole ? parts.map(({ data }) => data) : undefined;
}

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
