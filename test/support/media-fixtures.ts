import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import sharp, { type Sharp } from 'sharp';

/**
 * Clips whose frames carry their number as black and white blocks, so that a program can read which
 * frame it sees and whether it is the right way up.
 *
 * The picture is a grid of 8 by 4 cells. The top row is white but for its last two cells, which tells
 * up from down and left from right; the two rows below hold the number's 16 bits; the last is black.
 */
const columns = 8;
const rows = 4;
const cellPixels = 8;
const patternWidth = columns * cellPixels;
const patternHeight = rows * cellPixels;

function cellsOf(frameNumber: number): boolean[] {
  const top = Array.from({ length: columns }, (_, column) => column < 6);
  const bits = Array.from({ length: 16 }, (_, bit) => ((frameNumber >> (15 - bit)) & 1) === 1);
  return [...top, ...bits, ...new Array<boolean>(columns).fill(false)];
}

/** One frame as 8-bit gray pixels, 64 by 32. */
function drawPattern(frameNumber: number): Buffer {
  const cells = cellsOf(frameNumber);
  const pixels = Buffer.alloc(patternWidth * patternHeight);
  for (let y = 0; y < patternHeight; y += 1) {
    for (let x = 0; x < patternWidth; x += 1) {
      const cell = Math.floor(y / cellPixels) * columns + Math.floor(x / cellPixels);
      pixels[y * patternWidth + x] = cells[cell] ? 235 : 16;
    }
  }
  return pixels;
}

/** A pattern as an encoded picture. */
export function drawPicture(frameNumber: number, width = 640, height = 320): Sharp {
  const raw = { width: patternWidth, height: patternHeight, channels: 1 as const };
  return sharp(drawPattern(frameNumber), { raw })
    .resize(width, height, { kernel: 'nearest', fit: 'fill' })
    .toColorspace('srgb');
}

/** The number that an upright picture carries. @throws when it is turned, mirrored or no such picture. */
export async function readPattern(picture: Uint8Array): Promise<number> {
  const { data, info } = await sharp(picture).grayscale().raw().toBuffer({ resolveWithObject: true });
  const cells = Array.from({ length: columns * rows }, (_, cell) => {
    const x = Math.floor((((cell % columns) + 0.5) / columns) * info.width);
    const y = Math.floor(((Math.floor(cell / columns) + 0.5) / rows) * info.height);
    const gray = data[(y * info.width + x) * info.channels] ?? 128;
    if (gray > 90 && gray < 165) throw new Error(`Cell ${cell} is neither black nor white: ${gray}`);
    return gray > 128;
  });
  const frameNumber = cells.slice(8, 24).reduce((number, bit) => number * 2 + (bit ? 1 : 0), 0);
  if (cells.join() !== cellsOf(frameNumber).join())
    throw new Error('The picture is not upright, or carries no number.');
  return frameNumber;
}

export interface ClipOptions {
  readonly path: string;
  readonly seconds: number;
  readonly fps?: number;
  readonly width?: number;
  readonly height?: number;
  /** Frames between keyframes. */
  readonly gop?: number;
  /** Encoder and its options. Default: H.264, fast. */
  readonly codec?: readonly string[];
  /** A tone beside the picture. */
  readonly audio?: boolean | readonly string[];
  /** More filters after the pattern was scaled up. */
  readonly filters?: readonly string[];
  /** More output options, before the path. */
  readonly options?: readonly string[];
  readonly ffmpeg?: string;
}

/** Makes a clip whose frame n shows the number n. */
export async function makeClip(clip: ClipOptions): Promise<string> {
  const { seconds, fps = 25, width = 320, height = 160, gop = 25 } = clip;
  const filters = [
    `scale=${width}:${height}:flags=neighbor`,
    'setsar=1',
    ...(clip.filters ?? []),
    'format=yuv420p',
  ];
  const tone = ['-f', 'lavfi', '-t', String(seconds), '-i', 'sine=frequency=440:sample_rate=44100'];
  const audioCodec = Array.isArray(clip.audio) ? clip.audio : ['-c:a', 'aac'];
  const args = [
    ...['-v', 'error', '-nostdin', '-y', '-f', 'rawvideo', '-pix_fmt', 'gray'],
    ...['-s', `${patternWidth}x${patternHeight}`, '-r', String(fps), '-i', 'pipe:0'],
    ...(clip.audio ? tone : []),
    ...['-vf', filters.join(','), '-g', String(gop)],
    ...(clip.codec ?? ['-c:v', 'libx264', '-preset', 'ultrafast', '-sc_threshold', '0']),
    ...(clip.audio ? audioCodec : []),
    ...(clip.options ?? []),
    clip.path,
  ];
  await runWithFrames(clip.ffmpeg ?? requireFfmpeg(), args, Math.round(seconds * fps));
  return clip.path;
}

function runWithFrames(ffmpeg: string, args: readonly string[], frames: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(ffmpeg, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.on('data', (chunk) => {
      log += chunk;
    });
    // ffmpeg may stop reading early; its exit code tells whether that was right.
    child.stdin.on('error', () => child.stdin.destroy());
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`ffmpeg ${args.join(' ')}\n${log}`)),
    );
    let next = 0;
    const write = () => {
      while (next < frames && child.stdin.writable) {
        next += 1;
        if (!child.stdin.write(drawPattern(next - 1))) {
          child.stdin.once('drain', write);
          return;
        }
      }
      child.stdin.end();
    };
    write();
  });
}

/** Marks the first track of an MP4 or MOV to be shown turned clockwise, as phones do. */
export async function markTurned(path: string, degrees: 0 | 90 | 180 | 270): Promise<void> {
  const file = await readFile(path);
  // The matrix comes 44 bytes after the name of a version 0 track header.
  const matrix = file.indexOf('tkhd', 0, 'latin1') + 44;
  const [cosine, sine] = [
    Math.round(Math.cos((degrees * Math.PI) / 180)),
    Math.round(Math.sin((degrees * Math.PI) / 180)),
  ];
  for (const [i, value] of [cosine, sine, 0, -sine, cosine, 0].entries())
    file.writeInt32BE(value * 65536, matrix + i * 4);
  await writeFile(path, file);
}

/** Runs ffmpeg for anything else that a test needs. */
export function ffmpeg(...args: string[]): void {
  const { status, stderr } = spawnSync(requireFfmpeg(), ['-v', 'error', '-nostdin', '-y', ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`ffmpeg ${args.join(' ')}\n${stderr}`);
}

/** Every ffmpeg on this machine that the product may have to work with, by name. */
export function availableFfmpegs(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const system = process.env.FFMPEG_PATH ?? 'ffmpeg';
  if (spawnSync(system, ['-version']).status === 0) found.set('system', resolveInPath(system));
  const installed = installedFfmpeg();
  if (installed) found.set('@ffmpeg-installer', installed);
  return found;
}

function resolveInPath(command: string): string {
  if (command.includes('/')) return command;
  const directory = (process.env.PATH ?? '').split(':').find((entry) => existsSync(`${entry}/${command}`));
  return directory ? `${directory}/${command}` : command;
}

function installedFfmpeg(): string | undefined {
  try {
    return createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg').path as string;
  } catch {
    return undefined;
  }
}

/** An ffmpeg to make fixtures with. */
function requireFfmpeg(): string {
  const [path] = availableFfmpegs().values();
  if (!path)
    throw new Error('These tests need ffmpeg: apt install ffmpeg, or npm install @ffmpeg-installer/ffmpeg.');
  return path;
}

/** A BMP of the kinds that libraries disagree about. */
export function makeBitmap(options: {
  readonly width: number;
  readonly height: number;
  readonly bits: 1 | 4 | 8 | 16 | 24 | 32;
  readonly topDown?: boolean;
  /** The color at a place, 0xRRGGBB. */
  readonly colorAt: (x: number, y: number) => number;
}): Buffer {
  const { width, height, bits, topDown = false, colorAt } = options;
  const palette = bits <= 8 ? collectPalette(width, height, colorAt, 2 ** bits) : [];
  const masks = bits === 16 ? [0xf800, 0x07e0, 0x001f] : [];
  const strideBytes = Math.ceil((width * bits) / 32) * 4;
  const offset = 54 + masks.length * 4 + palette.length * 4;
  const file = Buffer.alloc(offset + strideBytes * height);
  file.write('BM', 0, 'latin1');
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(offset, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(topDown ? -height : height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(bits, 28);
  file.writeUInt32LE(masks.length ? 3 : 0, 30);
  file.writeUInt32LE(palette.length, 46);
  for (const [i, mask] of masks.entries()) file.writeUInt32LE(mask, 54 + i * 4);
  for (const [i, color] of palette.entries()) file.writeUInt32LE(color, 54 + i * 4);
  for (let y = 0; y < height; y += 1) {
    const row = offset + (topDown ? y : height - 1 - y) * strideBytes;
    for (let x = 0; x < width; x += 1) writePixel(file, row, x, bits, colorAt(x, y), palette);
  }
  return file;
}

function collectPalette(
  width: number,
  height: number,
  colorAt: (x: number, y: number) => number,
  size: number,
) {
  const colors = new Set<number>();
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) colors.add(colorAt(x, y));
  return [...colors, ...new Array<number>(size).fill(0)].slice(0, size);
}

function writePixel(
  file: Buffer,
  row: number,
  x: number,
  bits: number,
  color: number,
  palette: readonly number[],
) {
  const [red, green, blue] = [color >> 16, (color >> 8) & 0xff, color & 0xff];
  if (bits === 32) file.writeUInt32LE(color >>> 0, row + x * 4);
  else if (bits === 24) file.writeUIntLE(color, row + x * 3, 3);
  else if (bits === 16)
    file.writeUInt16LE(((red >> 3) << 11) | ((green >> 2) << 5) | (blue >> 3), row + x * 2);
  else {
    const perByte = 8 / bits;
    const at = row + Math.floor(x / perByte);
    file[at] = (file[at] ?? 0) | (palette.indexOf(color) << (8 - bits * ((x % perByte) + 1)));
  }
}
