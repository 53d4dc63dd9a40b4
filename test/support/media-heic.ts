import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { ffmpeg } from './media-fixtures.js';

export interface HeicOptions {
  /** How the picture is cut up, as phones do. Default: one piece. */
  readonly tile?: { readonly width: number; readonly height: number } | undefined;
  /** Quarter turns anticlockwise that show it upright. */
  readonly turns?: number | undefined;
  /** Mirrored after that: 0 upside down, 1 left to right. */
  readonly mirror?: 0 | 1 | undefined;
  /** Shows only this part of what is coded. */
  readonly crop?:
    | { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
    | undefined;
  readonly profile?: Buffer | undefined;
  /** How the colors are coded, with tags. Default: BT.601 in the full range, untagged. */
  readonly colors?:
    | {
        readonly matrix: 'bt709' | 'bt601' | 'bt2020';
        readonly fullRange: boolean;
        /** For what screen they are. Default `srgb`. */
        readonly screen?: 'srgb' | 'bt2020' | 'pq' | 'hlg' | undefined;
      }
    | undefined;
  /** Default `heic`. */
  readonly brand?: string | undefined;
}

const u8 = (...values: number[]) => Buffer.from(values);
const u16 = (...values: number[]) =>
  Buffer.concat(values.map((value) => u8((value >> 8) & 0xff, value & 0xff)));
const u32 = (...values: number[]) => Buffer.concat(values.map((value) => u16(value >>> 16, value & 0xffff)));

function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(body.length + 8), Buffer.from(type, 'latin1'), body]);
}

const fullBox = (type: string, version: number, flags: number, ...content: readonly Buffer[]) =>
  box(type, u32(version * 2 ** 24 + flags), ...content);

/** A picture as HEIC, built box by box: there is no tool that cuts one into tiles as phones do. */
export async function makeHeic(picture: Sharp, options: HeicOptions = {}): Promise<Buffer> {
  const { data, info } = await picture.clone().removeAlpha().png().toBuffer({ resolveWithObject: true });
  const tile = options.tile ?? { width: info.width, height: info.height };
  const columns = Math.ceil(info.width / tile.width);
  const rows = Math.ceil(info.height / tile.height);
  const padded = await sharp(data)
    .extend({
      right: columns * tile.width - info.width,
      bottom: rows * tile.height - info.height,
      extendWith: 'copy',
    })
    .png()
    .toBuffer();
  const coded: CodedTile[] = [];
  for (let n = 0; n < columns * rows; n += 1) {
    const place = { left: (n % columns) * tile.width, top: Math.floor(n / columns) * tile.height };
    coded.push(await encode(sharp(padded).extract({ ...place, ...tile }), options));
  }
  const isGrid = options.tile !== undefined;
  const grid = Buffer.concat([u8(0, 0, rows - 1, columns - 1), u16(info.width, info.height)]);
  return assemble({ coded, tile, size: info, grid: isGrid ? grid : undefined }, options);
}

interface CodedTile {
  readonly parameterSets: readonly Buffer[];
  readonly data: Buffer;
}

async function encode(tile: Sharp, { colors }: HeicOptions): Promise<CodedTile> {
  const directory = await mkdtemp(join(tmpdir(), 'heic-'));
  try {
    const [from, to] = [join(directory, 'tile.png'), join(directory, 'tile.hevc')];
    await tile.toFile(from);
    const { matrix = 'bt601', fullRange = true } = colors ?? {};
    const filter = `scale=out_color_matrix=${matrix}:out_range=${fullRange ? 'pc' : 'tv'}:flags=accurate_rnd`;
    ffmpeg(
      ...['-i', from, '-vf', `${filter},format=yuv420p`, '-frames:v', '1', '-c:v', 'libx265'],
      ...[
        '-preset',
        'ultrafast',
        '-x265-params',
        `log-level=none:crf=8:keyint=1:range=${fullRange ? 'full' : 'limited'}`,
        to,
      ],
    );
    const units = splitUnits(await readFile(to));
    const typeOf = (unit: Buffer) => ((unit[0] ?? 0) >> 1) & 0x3f;
    const slices = units.filter((unit) => typeOf(unit) < 32);
    return {
      parameterSets: [32, 33, 34].flatMap((type) => units.filter((unit) => typeOf(unit) === type)),
      data: Buffer.concat(slices.flatMap((unit) => [u32(unit.length), unit])),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function splitUnits(stream: Buffer): readonly Buffer[] {
  const units: Buffer[] = [];
  for (let at = stream.indexOf('\0\0\x01', 0, 'latin1'); at >= 0; ) {
    const next = stream.indexOf('\0\0\x01', at + 3, 'latin1');
    const end = next < 0 ? stream.length : next - (stream[next - 1] === 0 ? 1 : 0);
    units.push(stream.subarray(at + 3, end));
    at = next;
  }
  return units;
}

interface Parts {
  readonly coded: readonly CodedTile[];
  readonly tile: { readonly width: number; readonly height: number };
  readonly size: { readonly width: number; readonly height: number };
  readonly grid: Buffer | undefined;
}

function assemble({ coded, tile, size, grid }: Parts, options: HeicOptions): Buffer {
  const { brand = 'heic', colors, crop, mirror, profile, turns } = options;
  const configuration = (sets: readonly Buffer[]) =>
    box(
      'hvcC',
      ...[u8(1, 3, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 90, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f)],
      ...[
        u8(sets.length),
        ...sets.map((set) => Buffer.concat([u8(((set[0] ?? 0) >> 1) & 0x3f), u16(1, set.length), set])),
      ],
    );
  const extent = ({ width, height }: { width: number; height: number }) =>
    fullBox('ispe', 0, 0, u32(width, height));
  const fraction = (value: number, over: number) => u32(value >>> 0, over);
  // By their numbers in ITU-T H.273.
  const matrices = { bt709: 1, bt601: 6, bt2020: 9 } as const;
  const screens = { srgb: [1, 13], bt2020: [9, 14], pq: [9, 16], hlg: [9, 18] } as const;
  const describeColors = ({ fullRange, matrix, screen = 'srgb' }: NonNullable<HeicOptions['colors']>) =>
    box('colr', Buffer.from('nclx'), u16(...screens[screen], matrices[matrix]), u8(fullRange ? 0x80 : 0));
  const ofWhole = [
    ...(colors ? [describeColors(colors)] : []),
    ...(profile ? [box('colr', Buffer.from('prof'), profile)] : []),
    ...(crop
      ? [
          box(
            'clap',
            ...[fraction(crop.width, 1), fraction(crop.height, 1)],
            fraction(2 * crop.left + crop.width - size.width, 2),
            fraction(2 * crop.top + crop.height - size.height, 2),
          ),
        ]
      : []),
    ...(turns === undefined ? [] : [box('irot', u8(turns))]),
    ...(mirror === undefined ? [] : [box('imir', u8(mirror))]),
  ];
  const properties = [
    extent(tile),
    ...(grid ? [extent(size)] : []),
    ...ofWhole,
    ...coded.map(({ parameterSets }) => configuration(parameterSets)),
  ];
  const firstOfWhole = grid ? 3 : 2;
  const whole = ofWhole.map((_, i) => firstOfWhole + i);
  const configurationOf = (n: number) => firstOfWhole + ofWhole.length + n;
  const gridItem = coded.length + 1;
  const tiles = coded.map((_, n) => ({ item: n + 1, uses: [1, configurationOf(n), ...(grid ? [] : whole)] }));
  const items = grid ? [...tiles, { item: gridItem, uses: [2, ...whole] }] : tiles;
  const head = box('ftyp', Buffer.from(`${brand}\0\0\0\0mif1heic`, 'latin1'));
  const meta = (dataAt: number) => {
    let at = dataAt;
    const places = coded.map(({ data }, n) => {
      at += data.length;
      return Buffer.concat([u16(n + 1, 0, 0, 1), u32(at - data.length, data.length)]);
    });
    if (grid) places.push(Buffer.concat([u16(gridItem, 1, 0, 1), u32(0, grid.length)]));
    return fullBox(
      'meta',
      0,
      0,
      fullBox('hdlr', 0, 0, u32(0), Buffer.from('pict'), Buffer.alloc(13)),
      fullBox('pitm', 0, 0, u16(grid ? gridItem : 1)),
      fullBox(
        'iinf',
        0,
        0,
        u16(items.length),
        ...items.map(({ item }) =>
          // Tiles are hidden, so that no reader shows them as pictures of their own.
          fullBox(
            'infe',
            2,
            grid && item !== gridItem ? 1 : 0,
            u16(item, 0),
            Buffer.from(item === gridItem ? 'grid\0' : 'hvc1\0'),
          ),
        ),
      ),
      ...(grid
        ? [fullBox('iref', 0, 0, box('dimg', u16(gridItem, coded.length, ...coded.map((_, n) => n + 1))))]
        : []),
      box(
        'iprp',
        box('ipco', ...properties),
        fullBox(
          'ipma',
          0,
          0,
          u32(items.length),
          ...items.map(({ item, uses }) => Buffer.concat([u16(item), u8(uses.length, ...uses)])),
        ),
      ),
      ...(grid ? [box('idat', grid)] : []),
      fullBox('iloc', 1, 0, u8(0x44, 0), u16(places.length), ...places),
    );
  };
  const dataAt = head.length + meta(0).length + 8;
  return Buffer.concat([head, meta(dataAt), box('mdat', ...coded.map(({ data }) => data))]);
}
