import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MediaError } from '../../core/errors.js';
import { sniffFormat } from './sniff.js';

const sniff = (content: string | Uint8Array, name = 'clip.mp4', mimeType?: string) =>
  sniffFormat(typeof content === 'string' ? Buffer.from(content, 'latin1') : content, { name, mimeType });

function reasonOf(content: string | Uint8Array, name?: string): string {
  try {
    return `read as ${sniff(content, name).mimeType}`;
  } catch (error) {
    if (MediaError.isInstance(error)) return error.reason;
    throw error;
  }
}

const iso = (brand: string) => `\0\0\0\x18ftyp${brand}\0\0\0\0${brand}mp41`;
const transportStream = Buffer.alloc(188 * 3);
for (const at of [0, 188, 376]) transportStream[at] = 0x47;

describe('sniffFormat', () => {
  it.each([
    ['image/jpeg', '\xff\xd8\xff\xe0\0\x10JFIF'],
    ['image/png', '\x89PNG\r\n\x1a\n'],
    ['image/gif', 'GIF89a'],
    ['image/bmp', `BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0`],
    ['image/tiff', 'II*\0'],
    ['image/tiff', 'MM\0*'],
    ['image/webp', 'RIFF\0\0\0\0WEBPVP8 '],
    ['image/avif', iso('avif')],
    ['image/heic', iso('heic')],
    ['image/heic', iso('mif1')],
    ['video/mp4', iso('isom')],
    ['video/quicktime', iso('qt  ')],
    ['video/3gpp', iso('3gp4')],
    ['video/quicktime', '\0\0\0\x08wide\0\0\0\0mdat'],
    ['video/webm', '\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm'],
    ['video/x-matroska', '\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska'],
    ['video/x-msvideo', 'RIFF\0\0\0\0AVI LIST'],
    ['video/x-ms-wmv', '\x30\x26\xb2\x75\x8e\x66\xcf\x11'],
    ['video/x-flv', 'FLV\x01\x05'],
    ['video/mpeg', '\0\0\x01\xba'],
    ['video/mpeg', '\0\0\x01\xb3'],
    ['video/mp2t', transportStream],
    ['audio/mp4', iso('M4A ')],
    ['audio/mp3', 'ID3\x03'],
    ['audio/mp3', '\xff\xfb\x90\x64'],
    ['audio/aac', '\xff\xf1\x50\x80'],
    ['audio/wav', 'RIFF\0\0\0\0WAVEfmt '],
    ['audio/flac', 'fLaC'],
    ['audio/ogg', 'OggS'],
    ['audio/aiff', 'FORM\0\0\0\0AIFF'],
    ['application/pdf', '%PDF-1.7'],
  ])('detects %s by its bytes under a misleading name', (mimeType, content) => {
    expect(sniff(content, 'misleading.txt').mimeType).toBe(mimeType);
  });

  it.each([
    ['an HLS playlist', '#EXTM3U\n#EXT-X-TARGETDURATION:10\nhttp://10.0.0.1/a.ts'],
    ['an HLS playlist behind a byte order mark', '\xef\xbb\xbf#EXTM3U\n'],
    ['a DASH manifest', '<?xml version="1.0"?>\n<!-- x -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'],
    ['a Smooth Streaming manifest', '<SmoothStreamingMedia MajorVersion="2">'],
    ['a concat script', 'ffconcat version 1.0\nfile /etc/passwd'],
    ['a session description', 'v=0\r\no=- 0 0 IN IP4 127.0.0.1'],
    ['a PLS playlist', '[playlist]\nFile1=http://10.0.0.1/a.mp3'],
    ['an ASX playlist', '<ASX version="3.0">'],
    ['an XSPF playlist', '<?xml version="1.0"?><playlist version="1">'],
    ['a QuickTime reference', 'RTSPtext rtsp://10.0.0.1/a'],
    ['a bare address', 'http://10.0.0.1/a.mp4\n'],
  ])('refuses %s, which names other files to read', (_, content) => {
    expect(reasonOf(content)).toBe('not-allowed');
    expect(reasonOf(content, 'notes.txt')).toBe('not-allowed');
  });

  it.each([
    [
      'an SVG drawing',
      '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x"><svg xmlns="x"/>',
      'a.png',
    ],
    [
      'an SVG drawing with entities',
      '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<svg/>',
      'a.svg',
    ],
    ['text named like a clip', 'Not a clip at all.\n', 'clip.mp4'],
    ['unknown bytes', '\x00\x01\x02\x03\x04\xfe\xfd', 'thing.bin'],
    ['text that begins like a bitmap', 'BMW builds cars, and bikes too.', 'car.bmp'],
  ])('refuses %s', (_, content, name) => {
    expect(reasonOf(content, name)).toBe('unsupported');
  });

  it.each(['notes.txt', 'README.md', 'table.CSV'])('reads a text named %s as a document', (name) => {
    expect(sniff('Name,Age\nGr\xc3\xbc\xc3\x9fe,5\n', name)).toMatchObject({
      kind: 'document',
      mimeType: 'text/plain',
    });
  });

  it.each(['Hello', 'Name,Age', '# Title'])('reads a document in UTF-16: %s', (text) => {
    const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le');
    expect(sniff(utf16, 'notes.txt').kind).toBe('document');
    expect(sniff(utf16.swap16(), 'notes.txt').kind).toBe('document');
  });

  it('finds MP3 frames behind anything, and none in noise', () => {
    const frame = Buffer.alloc(417);
    frame.set([0xff, 0xfb, 0x90, 0x64]);
    const junk = fc.uint8Array({ maxLength: 3000 });
    const isMp3 = (...bytes: Uint8Array[]) => {
      const head = Buffer.concat([Buffer.from('\0\x01'), ...bytes]);
      return reasonOf(head, 'thing.bin') === 'read as audio/mp3';
    };
    fc.assert(
      fc.property(junk, (bytes) => {
        expect(isMp3(bytes, frame, frame, frame, frame)).toBe(true);
        expect(isMp3(bytes)).toBe(false);
      }),
    );
  });

  it('reads text without a name as a document if its sender claims so', () => {
    expect(sniff('hello', 'attachment', 'text/plain; charset=utf-8').kind).toBe('document');
  });

  it('gives each container to one demuxer only', () => {
    expect(sniff(iso('isom')).demuxer).toBe('mov,mp4,m4a,3gp,3g2,mj2');
    expect(sniff('FLV\x01\x05').demuxer).toBe('flv');
  });
});
