import { MediaError } from '../../core/errors.js';
import type { MediaKind } from '../../core/media.js';

/** How many leading bytes `sniffFormat` wants to see. Fewer are fine for a shorter source. */
export const sniffBytes = 4100;

/** What the first bytes of a source say that it is. */
export interface SniffedFormat {
  readonly kind: MediaKind;
  readonly mimeType: string;
  /**
   * The one ffmpeg demuxer that may read it. Forcing the demuxer keeps a crafted file from being
   * taken for a playlist.
   */
  readonly demuxer?: string | undefined;
  /** The `formats` name of mediabunny, where it indexes this container reliably. */
  readonly indexer?: 'MP4' | 'QTFF' | 'MATROSKA' | 'WEBM' | undefined;
}

const image = (mimeType: string): SniffedFormat => ({ kind: 'image', mimeType });
const audio = (mimeType: string, demuxer: string): SniffedFormat => ({ kind: 'audio', mimeType, demuxer });

const isoDemuxer = 'mov,mp4,m4a,3gp,3g2,mj2';
const matroskaDemuxer = 'matroska,webm';
/** What reads the streams that are made here of single packets. */
export const demuxerOfRemux = matroskaDemuxer;

/** The `-f` names above are lists of aliases; ffmpeg takes any one of them. */
export function demuxerAlias(demuxer: string): string {
  return demuxer.split(',', 1)[0] ?? demuxer;
}

/**
 * Says what a source is, by its bytes alone; the name only tells a text document from other text.
 *
 * @throws MediaError `unsupported` for what is not read here, `not-allowed` for playlists and
 * manifests, which name other files to read.
 */
export function sniffFormat(
  head: Uint8Array,
  claim: { name: string; mimeType?: string | undefined },
): SniffedFormat {
  const format = sniffBinary(head) ?? sniffText(head, claim);
  if (format) return format;
  throw new MediaError(
    'unsupported',
    `"${claim.name}" is in no format that is read here. Send a picture (JPEG, PNG, GIF, BMP, TIFF, WebP, HEIC, AVIF), a clip (MP4, MOV, MKV, WebM, AVI, WMV, FLV, MPEG), a recording (MP3, WAV, AAC, FLAC, OGG, M4A) or a PDF.`,
  );
}

function sniffBinary(head: Uint8Array): SniffedFormat | undefined {
  const ascii = (start: number, length: number) => latin1(head, start, length);
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);

  if (starts(0xff, 0xd8, 0xff)) return image('image/jpeg');
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return image('image/png');
  if (ascii(0, 6) === 'GIF87a' || ascii(0, 6) === 'GIF89a') return image('image/gif');
  if (isBitmap(head)) return image('image/bmp');
  if (starts(0x49, 0x49, 0x2a, 0) || starts(0x4d, 0x4d, 0, 0x2a)) return image('image/tiff');
  if (starts(0x49, 0x49, 0x2b, 0) || starts(0x4d, 0x4d, 0, 0x2b)) return image('image/tiff');
  if (ascii(0, 4) === 'RIFF' || ascii(0, 4) === 'RF64') return sniffRiff(ascii(8, 4));
  if (ascii(4, 4) === 'ftyp') return sniffIso(head);
  if (['moov', 'mdat', 'wide', 'pnot', 'free', 'skip'].includes(ascii(4, 4))) {
    return { kind: 'video', mimeType: 'video/quicktime', demuxer: isoDemuxer, indexer: 'QTFF' };
  }
  if (starts(0x1a, 0x45, 0xdf, 0xa3)) {
    return latin1(head, 0, 64).includes('webm')
      ? { kind: 'video', mimeType: 'video/webm', demuxer: matroskaDemuxer, indexer: 'WEBM' }
      : { kind: 'video', mimeType: 'video/x-matroska', demuxer: matroskaDemuxer, indexer: 'MATROSKA' };
  }
  if (starts(0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11)) {
    return { kind: 'video', mimeType: 'video/x-ms-wmv', demuxer: 'asf' };
  }
  if (ascii(0, 3) === 'FLV' && head[3] === 1)
    return { kind: 'video', mimeType: 'video/x-flv', demuxer: 'flv' };
  if (starts(0, 0, 1, 0xba)) return { kind: 'video', mimeType: 'video/mpeg', demuxer: 'mpeg' };
  if (starts(0, 0, 1, 0xb3)) return { kind: 'video', mimeType: 'video/mpeg', demuxer: 'mpegvideo' };
  if (isTransportStream(head)) return { kind: 'video', mimeType: 'video/mp2t', demuxer: 'mpegts' };
  if (latin1(head, 0, 1024).includes('%PDF-')) return { kind: 'document', mimeType: 'application/pdf' };
  return sniffAudio(head);
}

function sniffAudio(head: Uint8Array): SniffedFormat | undefined {
  const tag = latin1(head, 0, 4);
  if (tag === 'OggS') return audio('audio/ogg', 'ogg');
  if (tag === 'fLaC') return audio('audio/flac', 'flac');
  if (tag === 'FORM' && ['AIFF', 'AIFC'].includes(latin1(head, 8, 4))) return audio('audio/aiff', 'aiff');
  if (tag.startsWith('ID3')) return audio('audio/mp3', 'mp3');
  const [first = 0, second = 0, third = 0] = head;
  if (first === 0xff && (second & 0xf6) === 0xf0) return audio('audio/aac', 'aac');
  const isMpegAudio =
    first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) !== 0 && (second & 0x18) !== 0x08;
  if (isMpegAudio && (third & 0xf0) !== 0xf0 && (third & 0x0c) !== 0x0c) return audio('audio/mp3', 'mp3');
  return undefined;
}

function sniffRiff(form: string): SniffedFormat | undefined {
  if (form === 'WEBP') return image('image/webp');
  if (form === 'AVI ') return { kind: 'video', mimeType: 'video/x-msvideo', demuxer: 'avi' };
  if (form === 'WAVE') return audio('audio/wav', 'wav');
  return undefined;
}

function sniffIso(head: Uint8Array): SniffedFormat {
  const boxBytes = Math.min(((head[2] ?? 0) << 8) | (head[3] ?? 0), head.length);
  const brands = new Set<string>();
  for (let at = 8; at + 4 <= boxBytes; at += 4) if (at !== 12) brands.add(latin1(head, at, 4));
  const major = latin1(head, 8, 4);
  if (brands.has('avif') || brands.has('avis')) return image('image/avif');
  if (['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis', 'mif1', 'msf1'].includes(major))
    return image('image/heic');
  if (major === 'M4A ' || major === 'M4B ') return { ...audio('audio/mp4', isoDemuxer), indexer: 'MP4' };
  const quickTime = major === 'qt  ';
  return {
    kind: 'video',
    mimeType: quickTime ? 'video/quicktime' : major.startsWith('3g') ? 'video/3gpp' : 'video/mp4',
    demuxer: isoDemuxer,
    indexer: quickTime ? 'QTFF' : 'MP4',
  };
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

/** Text formats that a person may mean to show as they are, by the only thing that tells them apart. */
const textTypes: Readonly<Record<string, string>> = {
  txt: 'text/plain',
  text: 'text/plain',
  log: 'text/plain',
  md: 'text/plain',
  markdown: 'text/plain',
  csv: 'text/plain',
  tsv: 'text/plain',
};

function sniffText(
  head: Uint8Array,
  claim: { name: string; mimeType?: string | undefined },
): SniffedFormat | undefined {
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
  const mimeType = claimsText ? 'text/plain' : textTypes[extension];
  if (mimeType) return { kind: 'document', mimeType };
  throw new MediaError(
    'unsupported',
    `"${claim.name}" holds text, not a picture, clip, recording or PDF. Put short text into the prompt, or name a text document .txt, .md or .csv.`,
  );
}

/** The text of `head`, or nothing when it is no UTF-8 or UTF-16 text. */
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
