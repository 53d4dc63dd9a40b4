/** Pictures that people have and that few programs write. */

/** One directory of a TIFF; numbers for its fields replace or add to those of a plain RGB page of 8 bits. */
export interface OddPage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Buffer;
  readonly fields?: Readonly<Record<number, readonly number[]>>;
}

const long = 4;

/** A TIFF of uncompressed pages, every value as a long number. `extra` goes behind them. */
export function oddTiff(pages: readonly OddPage[], extra: Buffer = Buffer.alloc(0)): Buffer {
  const parts: Buffer[] = [Buffer.from('II*\0\0\0\0\0', 'latin1')];
  let [end, linkAt] = [8, 4];
  const links: (readonly [at: number, to: number])[] = [];
  for (const { width, height, pixels, fields = {} } of pages) {
    const all: Record<number, readonly number[]> = {
      ...{ 256: [width], 257: [height], 258: [8, 8, 8], 259: [1], 262: [2], 273: [end] },
      ...{ 277: [3], 278: [height], 279: [pixels.length], ...fields },
    };
    const tags = Object.keys(all).map(Number);
    const directoryAt = end + pixels.length + (pixels.length % 2);
    const directory = Buffer.alloc(2 + tags.length * 12 + 4);
    directory.writeUInt16LE(tags.length);
    const values: Buffer[] = [];
    let valuesAt = directoryAt + directory.length;
    for (const [i, tag] of tags.entries()) {
      const numbers = all[tag] ?? [];
      const at = 2 + i * 12;
      directory.writeUInt16LE(tag, at);
      directory.writeUInt16LE(long, at + 2);
      directory.writeUInt32LE(numbers.length, at + 4);
      if (numbers.length === 1) directory.writeUInt32LE(numbers[0] ?? 0, at + 8);
      else {
        directory.writeUInt32LE(valuesAt, at + 8);
        const bytes = Buffer.alloc(numbers.length * 4);
        for (const [n, number] of numbers.entries()) bytes.writeUInt32LE(number, n * 4);
        values.push(bytes);
        valuesAt += bytes.length;
      }
    }
    links.push([linkAt, directoryAt]);
    linkAt = directoryAt + directory.length - 4;
    parts.push(pixels, Buffer.alloc(pixels.length % 2), directory, ...values);
    end = valuesAt;
  }
  const file = Buffer.concat([...parts, extra]);
  for (const [at, to] of links) file.writeUInt32LE(to, at);
  return file;
}

/** A page of one color; `channels` may be more than three. */
export function plainPage(
  width: number,
  height: number,
  color: readonly number[],
  fields?: OddPage['fields'],
): OddPage {
  const pixels = Buffer.alloc(width * height * color.length, Buffer.from(color));
  const bits = color.map(() => 8);
  return { width, height, pixels, fields: { 258: bits, 277: [color.length], ...fields } };
}

/** A GIF of 8 by 8 whose only frame is one red pixel, in its middle. */
export function uncoveringGif(): Buffer {
  return Buffer.from(
    'GIF89a\x08\0\x08\0\x80\0\0\xff\0\0\0\xff\0\x2c\x04\0\x04\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b',
    'latin1',
  );
}

/** A BMP of 64 by 8 with 10 bits for each color: red on the left, half green on the right. */
export function bitmapOfTenBits(): Buffer {
  const [width, height, pixelsAt] = [64, 8, 66];
  const file = Buffer.alloc(pixelsAt + width * height * 4);
  file.write('BM', 'latin1');
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(pixelsAt, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(32, 28);
  file.writeUInt32LE(3, 30);
  for (const [i, mask] of [0x3ff00000, 0xffc00, 0x3ff].entries()) file.writeUInt32LE(mask, 54 + i * 4);
  for (let at = 0; at < width * height; at += 1)
    file.writeUInt32LE(at % width < width / 2 ? 0x3ff00000 : 514 << 10, pixelsAt + at * 4);
  return file;
}
