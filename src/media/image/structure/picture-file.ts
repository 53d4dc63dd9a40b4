import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The bytes of a picture at any place, without all of them in memory. */
export interface PictureFile {
  readonly size: number;
  /** The bytes from `offset` on; fewer than `length` where the file ends. */
  at(offset: number, length: number): Buffer;
}

const windowBytes = 2 ** 18;

/** Gives the bytes of a picture in memory or in a file to `read`. */
export function withPictureFile<T>(data: Uint8Array | string, read: (file: PictureFile) => T): T {
  if (typeof data !== 'string') {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return read({ size: bytes.length, at: (offset, length) => bytes.subarray(offset, offset + length) });
  }
  const file = openSync(data, 'r');
  try {
    return read(windowed(file));
  } finally {
    closeSync(file);
  }
}

/** Reads a large piece at a time: structures lie close together. */
function windowed(file: number): PictureFile {
  let window = Buffer.alloc(0);
  let start = 0;
  const read = (offset: number, length: number) => {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(file, buffer, 0, length, offset));
  };
  return {
    size: fstatSync(file).size,
    at: (offset, length) => {
      if (length > windowBytes) return read(offset, length);
      if (offset < start || offset + length > start + window.length) {
        window = read(offset, windowBytes);
        start = offset;
      }
      return window.subarray(offset - start, offset - start + length);
    },
  };
}
