import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { MediaError } from '../../../core/errors.js';

/** The bytes of a picture at any place, without all of them in memory. */
export interface PictureFile {
  readonly size: number;
  /** The bytes from `offset` on; fewer than `length` where the file ends. */
  at(offset: number, length: number): Buffer;
}

const windowBytes = 2 ** 16;
/** A GIF of 2 GiB takes 8 million. No limit of time is looked at in between. */
const mostReads = 20e6;
/** So many reads in memory take as long as one of a window. */
const readsPerWindow = 64;

/**
 * Gives the bytes of a picture in memory or in a file to `read`.
 *
 * @throws MediaError `too-large` when a file of many small pieces, as are made to do harm, takes too long
 */
export function withPictureFile<T>(
  { data, name }: { readonly data: Uint8Array | string; readonly name: string },
  read: (file: PictureFile) => T,
): T {
  let reads = 0;
  const count = (more: number) => {
    reads += more;
    if (reads > mostReads) throw tooManyPieces(name);
  };
  if (typeof data !== 'string') return read(inMemory(data, count));
  const file = openSync(data, 'r');
  try {
    return read(windowed(file, count));
  } finally {
    closeSync(file);
  }
}

function inMemory(data: Uint8Array, count: (reads: number) => void): PictureFile {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return {
    size: bytes.length,
    at: (offset, length) => {
      count(1);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** Reads a large piece at a time: structures lie close together. */
function windowed(file: number, count: (reads: number) => void): PictureFile {
  let window = Buffer.alloc(0);
  let start = 0;
  const read = (offset: number, length: number) => {
    count(readsPerWindow);
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(file, buffer, 0, length, offset));
  };
  return {
    size: fstatSync(file).size,
    at: (offset, length) => {
      count(1);
      if (length > windowBytes) return read(offset, length);
      if (offset < start || offset + length > start + window.length) {
        window = read(offset, windowBytes);
        start = offset;
      }
      return window.subarray(offset - start, offset - start + length);
    },
  };
}

function tooManyPieces(name: string): MediaError {
  return new MediaError(
    'too-large',
    `"${name}" is made of too many pieces to look through. Save the picture again in another program, or send it as JPEG.`,
  );
}
