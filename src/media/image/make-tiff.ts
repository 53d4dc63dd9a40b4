export interface TiffOptions {
  readonly width: number;
  readonly height: number;
  /** As Exif numbers it: 1 to 8. */
  readonly orientation: number;
  /** An ICC profile. */
  readonly profile?: Uint8Array | undefined;
}

const types = { short: 3, long: 4, undefined: 7 };

/**
 * An uncompressed RGB TIFF to be filled in: the simplest file that holds beside its pixels how they have
 * to be turned and what their colors mean.
 *
 * @returns the file, and the part of it that holds three bytes a pixel, row by row
 */
export function makeTiff({ width, height, orientation, profile }: TiffOptions): {
  readonly file: Buffer;
  readonly pixels: Buffer;
} {
  const fields: (readonly [tag: number, type: number, count: number, value: number])[] = [
    [256, types.long, 1, width],
    [257, types.long, 1, height],
    // BitsPerSample: three numbers do not fit here, so they follow.
    [258, types.short, 3, 0],
    [259, types.short, 1, 1],
    [262, types.short, 1, 2],
    [273, types.long, 1, 0],
    [274, types.short, 1, orientation],
    [277, types.short, 1, 3],
    [278, types.long, 1, height],
    [279, types.long, 1, width * height * 3],
    ...(profile ? [[34_675, types.undefined, profile.byteLength, 0] as const] : []),
  ];
  const bitsAt = 8 + 2 + fields.length * 12 + 4;
  const profileAt = bitsAt + 6;
  const pixelsAt = profileAt + (profile?.byteLength ?? 0);
  const file = Buffer.allocUnsafeSlow(pixelsAt + width * height * 3);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(8, 4);
  file.writeUInt16LE(fields.length, 8);
  const places: Readonly<Record<number, number>> = { 258: bitsAt, 273: pixelsAt, 34675: profileAt };
  for (const [i, [tag, type, count, value]] of fields.entries()) {
    const at = 10 + i * 12;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(count, at + 4);
    file.writeUInt32LE(places[tag] ?? value, at + 8);
  }
  file.writeUInt32LE(0, bitsAt - 4);
  for (const channel of [0, 1, 2]) file.writeUInt16LE(8, bitsAt + channel * 2);
  if (profile) file.set(profile, profileAt);
  return { file, pixels: file.subarray(pixelsAt) };
}
