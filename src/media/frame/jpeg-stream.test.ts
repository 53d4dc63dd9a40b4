import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jpegOptions, readJpegs } from './jpeg-stream.js';

const part = (data: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: ${data.length}\r\n\r\n`),
    data,
    Buffer.from('\r\n'),
  ]);

async function read(bytes: Buffer, chunkSizes: readonly number[], maxBytes = 1000): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = chunkSizes[n % chunkSizes.length] ?? bytes.length;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  const found: Buffer[] = [];
  for await (const jpeg of readJpegs(Readable.from(chunks), 'a.mp4', maxBytes)) found.push(Buffer.from(jpeg));
  return found;
}

const pictures = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }).map(Buffer.from), { maxLength: 6 });
const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });

describe('readJpegs', () => {
  it('yields each picture whole for any chunks of the stream', async () => {
    await fc.assert(
      fc.asyncProperty(pictures, sizes, async (given, chunkSizes) => {
        expect(await read(Buffer.concat(given.map(part)), chunkSizes)).toEqual(given);
      }),
    );
  });

  it('reads a picture that contains the end of a header', async () => {
    const given = Buffer.from('\r\n\r\nContent-length: 3\r\n\r\n');
    expect(await read(part(given), [7])).toEqual([given]);
  });

  it('drops a picture that is cut off', async () => {
    const [whole, cut] = [Buffer.from('whole'), part(Buffer.from('cut off')).subarray(0, -4)];
    expect(await read(Buffer.concat([part(whole), cut]), [11])).toEqual([whole]);
  });

  it('refuses a picture that is larger than allowed before it takes memory for it', async () => {
    const header = Buffer.from('--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: 4000000000\r\n\r\n');
    await expect(read(header, [64])).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
  });

  it('refuses anything that is not a picture', async () => {
    await expect(read(Buffer.alloc(2000, 'x'), [64])).rejects.toMatchObject({ reason: 'corrupt' });
  });
});

describe('jpegOptions', () => {
  it.each([
    [100, '1'],
    [90, '2'],
    [75, '4'],
    [50, '8'],
    [1, '31'],
  ])('maps quality %i to quantizer %s', (quality, quantizer) => {
    expect(jpegOptions(quality).join(' ')).toContain(`-q:v ${quantizer} `);
  });
});
