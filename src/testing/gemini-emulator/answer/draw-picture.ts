import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';

/** Cells on a side of the pattern. */
const cells = 8;

/**
 * Draws a PNG whose mirrored pattern and colors follow from the description, which it also holds as text.
 * Written by hand, since the emulator must not load an image library.
 */
export function drawPicture(description: string, width: number, height: number): Buffer {
  const seed = createHash('sha256').update(description).digest();
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits a pixel that point into the palette.
  header.set([8, 3, 0, 0, 0], 8);
  const row = (cellY: number) => {
    // Each row begins with its filter, which is none.
    const bytes = Buffer.alloc(1 + width);
    for (let x = 0; x < width; x++) {
      const cellX = Math.floor((x * cells) / width);
      const mirrored = Math.min(cellX, cells - 1 - cellX);
      bytes[1 + x] = (seed[mirrored * cells + cellY] ?? 0) % 4;
    }
    return bytes;
  };
  const rows = Array.from({ length: cells }, (_, cellY) => row(cellY));
  const pixels = Array.from({ length: height }, (_, y) => rows[Math.floor((y * cells) / height)] as Buffer);
  const text = Buffer.from(`Description\0\0\0\0\0${description}`);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('PLTE', seed.subarray(0, 12)),
    chunk('iTXt', text),
    chunk('IDAT', deflateSync(Buffer.concat(pixels))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), framed.length - 4);
  return framed;
}

/** `zlib.crc32` is missing in the oldest supported Node.js. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
