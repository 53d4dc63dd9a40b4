import { describe, expect, it } from 'vitest';
import { readHeifPicture } from './heif-picture.js';

const u8 = (...values: number[]) => Buffer.from(values);
const u16 = (...values: number[]) => Buffer.concat(values.map((value) => u8(value >> 8, value & 255)));
const u32 = (...values: number[]) =>
  Buffer.concat(values.map((value) => u16(Math.floor(value / 65_536), value % 65_536)));

function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(body.length + 8), Buffer.from(type, 'latin1'), body]);
}

/** A box with version 0 and no flags. */
const fullBox = (type: string, ...content: readonly Buffer[]) => box(type, u32(0), ...content);

interface Shape {
  /** Tiles side by side, which all have the same bytes. */
  readonly tiles: number;
  /** The coded picture of each, with a length of four bytes in front of each unit. */
  readonly coded: Buffer;
  readonly parameterSet?: Buffer;
  readonly moreInMeta?: Buffer;
  /** Pairs of an item and no properties. */
  readonly emptyAssociations?: number;
  /** How often the parts of the whole are listed. */
  readonly references?: number;
}

function heicOf({
  tiles,
  coded,
  parameterSet = u8(1, 2, 3),
  moreInMeta = Buffer.alloc(0),
  emptyAssociations = 0,
  references = 1,
}: Shape): Buffer {
  const whole = tiles + 1;
  const numbers = Array.from({ length: tiles }, (_, n) => n + 1);
  const grid = Buffer.concat([u8(0, 0, 0, tiles - 1), u16(64 * tiles, 64)]);
  const configuration = box(
    'hvcC',
    ...[Buffer.alloc(21), u8(3, 1, 32), u16(1, parameterSet.length), parameterSet],
  );
  const meta = (dataAt: number) =>
    fullBox(
      'meta',
      fullBox('pitm', u16(whole)),
      fullBox(
        'iinf',
        u16(whole),
        ...[...numbers, whole].map((item) =>
          box('infe', u32(2 * 2 ** 24), u16(item, 0), Buffer.from(item === whole ? 'grid\0' : 'hvc1\0')),
        ),
      ),
      fullBox('iref', ...new Array<Buffer>(references).fill(box('dimg', u16(whole, tiles, ...numbers)))),
      box(
        'iprp',
        box('ipco', configuration),
        fullBox(
          'ipma',
          u32(tiles + emptyAssociations),
          ...numbers.map((item) => Buffer.concat([u16(item), u8(1, 1)])),
          Buffer.concat(new Array<Buffer>(emptyAssociations).fill(u8(0, 0, 0))),
        ),
      ),
      box('idat', grid),
      box(
        'iloc',
        ...[u32(2 ** 24), u8(0x44, 0), u16(whole)],
        ...numbers.map((item) => Buffer.concat([u16(item, 0, 0, 1), u32(dataAt, coded.length)])),
        Buffer.concat([u16(whole, 1, 0, 1), u32(0, grid.length)]),
      ),
      moreInMeta,
    );
  const head = box('ftyp', Buffer.from('heic\0\0\0\0mif1heic', 'latin1'));
  return Buffer.concat([head, meta(head.length + meta(0).length + 8), box('mdat', coded)]);
}

const unit = (bytes: number) => Buffer.concat([u32(bytes), Buffer.alloc(bytes, 0x26)]);

describe('readHeifPicture', () => {
  it('finds the tiles of a grid', () => {
    const picture = readHeifPicture(heicOf({ tiles: 2, coded: unit(100) }));
    expect(picture).toMatchObject({ width: 128, height: 64, columns: 2, rows: 1 });
    expect(picture?.tiles.map(({ length }) => length)).toEqual([111, 111]);
  });

  it.each<[string, Shape]>([
    ['tiles that share their bytes', { tiles: 200, coded: unit(100_000) }],
    [
      'parameter sets that are repeated for each tile',
      { tiles: 200, coded: unit(9), parameterSet: Buffer.alloc(60_000) },
    ],
    ['a million empty units', { tiles: 1, coded: Buffer.alloc(4e6) }],
    [
      'a million empty boxes',
      { tiles: 1, coded: unit(9), moreInMeta: Buffer.concat(new Array<Buffer>(1e6).fill(box('free'))) },
    ],
    ['a million items without properties', { tiles: 1, coded: unit(9), emptyAssociations: 1e6 }],
    ['parts that are listed again and again', { tiles: 250, coded: unit(9), references: 1000 }],
  ])('refuses a file that unfolds to far more than it is: %s', (_, shape) => {
    expect(() => readHeifPicture(heicOf(shape))).toThrow(RangeError);
  });
});
