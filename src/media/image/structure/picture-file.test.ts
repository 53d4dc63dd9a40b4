import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readGif } from './gif.js';
import { withPictureFile } from './picture-file.js';
import { readTiff } from './tiff.js';

function onDisk(data: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'picture-file-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'picture');
  writeFileSync(path, data);
  return path;
}

const places = [
  ['memory', (data: Buffer) => data],
  ['a file', onDisk],
] as const;

/** A comment of blocks of one byte. */
function gifOfTinyBlocks(blocks: number): Buffer {
  const head = Buffer.from('GIF89a\x01\0\x01\0\0\0\0\x21\xfe', 'latin1');
  return Buffer.concat([head, Buffer.alloc(blocks * 2, Buffer.of(1, 65))]);
}

/** Pages of as many fields as there may be, all of which point to the same directories below. */
function tiffOfFullDirectories(pages: number): Buffer {
  const [entries, belowAt] = [1000, 8];
  const pageBytes = 2 + entries * 12 + 4;
  const first = belowAt + 64;
  const out = Buffer.alloc(first + pages * pageBytes);
  out.write('II*\0', 'latin1');
  out.writeUInt32LE(first, 4);
  for (let i = 0; i < 16; i += 1) out.writeUInt32LE(first + i * pageBytes, belowAt + i * 4);
  for (let page = 0; page < pages; page += 1) {
    const at = first + page * pageBytes;
    out.writeUInt16LE(entries, at);
    for (let entry = at + 2; entry < at + pageBytes - 4; entry += 12) {
      out.writeUInt16LE(330, entry);
      out.writeUInt16LE(4, entry + 2);
      out.writeUInt32LE(16, entry + 4);
      out.writeUInt32LE(belowAt, entry + 8);
    }
    out.writeUInt32LE(page + 1 < pages ? at + pageBytes : 0, at + pageBytes - 4);
  }
  return out;
}

describe('the structure of a picture', () => {
  it.each(places)('is looked through in a bounded number of steps in %s', (_, place) => {
    const data = place(gifOfTinyBlocks(21e6));
    expect(() => withPictureFile({ data, name: 'a.gif' }, (file) => readGif(file, 10))).toThrow(
      '"a.gif" is made of too many pieces to look through.',
    );
  });

  it.each(places)('takes a few steps for each field of a TIFF in %s', (_, place) => {
    let steps = 0;
    const pages = withPictureFile({ data: place(tiffOfFullDirectories(50)), name: 'a.tif' }, (file) =>
      readTiff(
        {
          size: file.size,
          at: (offset, length) => {
            steps += 1;
            return file.at(offset, length);
          },
        },
        100,
      ),
    );
    expect(pages).toHaveLength(50);
    expect(steps).toBeLessThan(50 * 17 * 1100);
  });
});
