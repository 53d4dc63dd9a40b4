import { MediaError } from '../../core/errors.js';
import { formats, type MediaFormat } from './formats.js';
import { findMpegFrames } from './mpeg-frames.js';

/** How many leading bytes `sniffFormat` wants to see. Fewer are fine for a shorter source. */
export const sniffBytes = 2 ** 14;

/**
 * Detects the format of a source by its bytes alone; the name only tells a text document from other text.
 *
 * @throws MediaError `unsupported` for what is not read here, `not-allowed` for playlists and
 * manifests, which name other files to read.
 */
export function sniffFormat(
  head: Uint8Array,
  claim: { name: string; mimeType?: string | undefined },
): MediaFormat {
  const format = sniffBinary(head) ?? sniffText(head, claim);
  if (format) return format;
  throw new MediaError(
    'unsupported',
    `"${claim.name}" is in no format that is read here. Send a picture (JPEG, PNG, GIF, BMP, TIFF, WebP, HEIC, AVIF), a clip (MP4, MOV, MKV, WebM, AVI, WMV, FLV, MPEG), a recording (MP3, WAV, AAC, FLAC, OGG, M4A) or a PDF.`,
  );
}

/** The format of sound that follows an ID3 tag. */
export function sniffTagged(head: Uint8Array): MediaFormat {
  const format = sniffAudio(head);
  return format === formats.aac || format === formats.flac ? format : formats.mp3;
}

function sniffBinary(head: Uint8Array): MediaFormat | undefined {
  const ascii = (start: number, length: number) => latin1(head, start, length);
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);

  if (starts(0xff, 0xd8, 0xff)) return formats.jpeg;
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return formats.png;
  if (ascii(0, 6) === 'GIF87a' || ascii(0, 6) === 'GIF89a') return formats.gif;
  if (isBitmap(head)) return formats.bmp;
  if (starts(0x49, 0x49, 0x2a, 0) || starts(0x4d, 0x4d, 0, 0x2a)) return formats.tiff;
  if (starts(0x49, 0x49, 0x2b, 0) || starts(0x4d, 0x4d, 0, 0x2b)) return formats.tiff;
  if (ascii(0, 4) === 'RIFF' || ascii(0, 4) === 'RF64') return sniffRiff(ascii(8, 4));
  if (ascii(4, 4) === 'ftyp') return sniffIso(head);
  if (['moov', 'mdat', 'wide', 'pnot', 'free', 'skip'].includes(ascii(4, 4))) return formats.mov;
  if (starts(0x1a, 0x45, 0xdf, 0xa3)) {
    return latin1(head, 0, 64).includes('webm') ? formats.webm : formats.mkv;
  }
  if (starts(0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11)) return formats.wmv;
  if (ascii(0, 3) === 'FLV' && head[3] === 1) return formats.flv;
  if (starts(0, 0, 1, 0xba)) return formats.mpegProgram;
  if (starts(0, 0, 1, 0xb3)) return formats.mpegVideo;
  if (isTransportStream(head)) return formats.mpegTransport;
  if (latin1(head, 0, 1024).includes('%PDF-')) return formats.pdf;
  return sniffAudio(head);
}

function sniffAudio(head: Uint8Array): MediaFormat | undefined {
  const tag = latin1(head, 0, 4);
  if (tag === 'OggS') return formats.ogg;
  if (tag === 'fLaC') return formats.flac;
  if (tag === 'FORM' && ['AIFF', 'AIFC'].includes(latin1(head, 8, 4))) return formats.aiff;
  if (tag.startsWith('ID3')) return formats.mp3;
  const [first = 0, second = 0, third = 0] = head;
  if (first === 0xff && (second & 0xf6) === 0xf0) return formats.aac;
  const isMpegAudio =
    first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) !== 0 && (second & 0x18) !== 0x08;
  // 0xfffe begins a text in UTF-16, or a layer that nobody uses.
  const isText = second === 0xfe;
  if (isMpegAudio && !isText && (third & 0xf0) !== 0xf0 && (third & 0x0c) !== 0x0c) return formats.mp3;
  const kind = findMpegFrames(head);
  return kind && formats[kind];
}

function sniffRiff(form: string): MediaFormat | undefined {
  if (form === 'WEBP') return formats.webp;
  if (form === 'AVI ') return formats.avi;
  if (form === 'WAVE') return formats.wav;
  return undefined;
}

function sniffIso(head: Uint8Array): MediaFormat {
  const boxBytes = Math.min(((head[2] ?? 0) << 8) | (head[3] ?? 0), head.length);
  const brands = new Set<string>();
  for (let at = 8; at + 4 <= boxBytes; at += 4) if (at !== 12) brands.add(latin1(head, at, 4));
  const major = latin1(head, 8, 4);
  if (brands.has('avif') || brands.has('avis')) return formats.avif;
  if (['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis', 'mif1', 'msf1'].includes(major)) return formats.heic;
  if (major === 'M4A ' || major === 'M4B ') return formats.m4a;
  if (major === 'qt  ') return formats.mov;
  return major.startsWith('3g') ? formats['3gp'] : formats.mp4;
}

/** 'BM' alone also opens ordinary text; the size of the header that follows must be one that exists. */
function isBitmap(head: Uint8Array): boolean {
  const headerBytes =
    (head[14] ?? 0) | ((head[15] ?? 0) << 8) | ((head[16] ?? 0) << 16) | ((head[17] ?? 0) << 24);
  return latin1(head, 0, 2) === 'BM' && [12, 16, 40, 52, 56, 64, 108, 124].includes(headerBytes);
}

/** Sync bytes a packet apart: 188 bytes, or 192 with the time codes of M2TS in front. */
function isTransportStream(head: Uint8Array): boolean {
  const synchronized = (offset: number, packetBytes: number) =>
    [0, 1, 2].every((n) => head[offset + n * packetBytes] === 0x47);
  return synchronized(0, 188) || synchronized(4, 192);
}

const manifestPattern =
  /^(#EXTM3U|#EXT-X-|ffconcat\s|v=0\r?\n|\[(playlist|reference)\]|RTSPtext|SMIL|<\?wpl|<(MPD|smil|asx|xspf|playlist|SmoothStreamingMedia)[\s>:]|(file|https?|rtsp|rtmp|mms):\/\/)/i;
const markupPrologue = /^(<\?xml[^>]*\?>|<!--[\s\S]*?-->|<!DOCTYPE[^>[]*(\[[\s\S]*?\])?[^>]*>|\s)+/i;

/** Text that a person may mean to show as it is. Only the name tells it from other text. */
const textExtensions = new Set(['txt', 'text', 'log', 'md', 'markdown', 'csv', 'tsv']);

function sniffText(
  head: Uint8Array,
  claim: { name: string; mimeType?: string | undefined },
): MediaFormat | undefined {
  const text = decodeText(head);
  if (text === undefined) return undefined;
  const body = text.trimStart().replace(markupPrologue, '').trimStart();
  if (manifestPattern.test(body)) {
    throw new MediaError(
      'not-allowed',
      `"${claim.name}" is a playlist or manifest: it names other files to read, which is never done. Send the clip itself.`,
    );
  }
  if (/^<(\w+:)?svg[\s>]/i.test(body)) {
    throw new MediaError('unsupported', `"${claim.name}" is an SVG drawing. Export it as PNG and send that.`);
  }
  const extension = /\.([a-z0-9]+)$/i.exec(claim.name)?.[1]?.toLowerCase() ?? '';
  const claimsText = !extension && /^text\/(plain|markdown|csv)\b/.test(claim.mimeType ?? '');
  if (claimsText || textExtensions.has(extension)) return formats.text;
  throw new MediaError(
    'unsupported',
    `"${claim.name}" holds text, not a picture, clip, recording or PDF. Put short text into the prompt, or name a text document .txt, .md or .csv.`,
  );
}

/** The text of `head`, or `undefined` if it is not UTF-8 or UTF-16. */
function decodeText(head: Uint8Array): string | undefined {
  if (head.includes(0)) {
    const encoding =
      head[0] === 0xff && head[1] === 0xfe
        ? 'utf-16le'
        : head[0] === 0xfe && head[1] === 0xff
          ? 'utf-16be'
          : undefined;
    return encoding && new TextDecoder(encoding).decode(head);
  }
  try {
    // `stream` because the head may end in the middle of a character.
    return new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function latin1(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}
