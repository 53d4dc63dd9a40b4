import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import type { MediaOptions } from '../../src/media/media-options.js';
import { type BenchClip, benchKeyframes } from './media-clips.js';

const run = promisify(execFile);
/** Debian's own, which sees Debian's python3-opencv. */
const python = process.env.PYTHON ?? '/usr/bin/python3';
const maxSide = 768;
const maxBuffer = 2 ** 30;

export interface FrameRequest {
  readonly clip: BenchClip;
  readonly frames: number;
  readonly ffmpeg: string;
}

type FrameMethod = (request: FrameRequest) => Promise<readonly Uint8Array[]>;

/** The middles of equal slices, in seconds. */
export function targetsOf({ clip, frames }: FrameRequest): number[] {
  return Array.from({ length: frames }, (_, slice) => ((slice + 0.5) * clip.seconds) / frames);
}

const ours =
  (options: Pick<MediaOptions, 'accuracy' | 'sampling'>): FrameMethod =>
  async ({ clip, frames, ffmpeg }) => {
    await using processor = new DefaultMediaProcessor({
      ...{ ...options, frames, maxSide, ffmpegPath: ffmpeg, audio: false, timeoutMs: 3_600_000 },
    });
    const { parts } = await processor.prepare(clip.path);
    return parts.map((part) => part.data);
  };

const jpegOutput = ['-f', 'image2pipe', '-c:v', 'mjpeg', '-q:v', '4', 'pipe:1'];
const quietly = ['-v', 'error', '-nostdin', '-threads', '2'];

/** JPEGs one after the other: each ends where the next begins. */
function splitJpegs(bytes: Buffer): Uint8Array[] {
  const marker = Buffer.from([0xff, 0xd8, 0xff]);
  const starts: number[] = [];
  for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) starts.push(at);
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1]));
}

const fullDecode: FrameMethod = async ({ clip, frames, ffmpeg }) => {
  // Half a slice is cut off in front, so that the frames are the middles of the slices as with all others.
  const filters = `fps=${frames}/${clip.seconds}:start_time=${clip.seconds / frames / 2}:round=up,scale=${maxSide}:-2`;
  const args = [...quietly, '-i', clip.path, '-vf', filters, '-frames:v', String(frames), ...jpegOutput];
  const { stdout } = await run(ffmpeg, args, { encoding: 'buffer', maxBuffer });
  return splitJpegs(stdout);
};

const seekPerFrame: FrameMethod = async (request) => {
  const pictures: Uint8Array[] = [];
  for (const seconds of targetsOf(request)) {
    const input = [...quietly, '-ss', String(seconds), '-i', request.clip.path];
    const args = [...input, '-frames:v', '1', '-vf', `scale=${maxSide}:-2`, ...jpegOutput];
    const { stdout } = await run(request.ffmpeg, args, { encoding: 'buffer', maxBuffer });
    pictures.push(stdout);
  }
  return pictures;
};

/**
 * What is left when finding and fetching the frames costs nothing: one ffmpeg that decodes as many keyframes
 * from a file that holds nothing else. They are not of the wanted instants.
 */
const keyframesAlone: FrameMethod = async ({ frames, ffmpeg }) => {
  const input = ['-v', 'error', '-nostdin', '-threads', '1', '-i', await benchKeyframes(ffmpeg, frames)];
  const args = [...input, '-vf', `scale=${maxSide}:-2`, '-vsync', '0', ...jpegOutput];
  const { stdout } = await run(ffmpeg, args, { encoding: 'buffer', maxBuffer });
  return splitJpegs(stdout);
};

const openCv: FrameMethod = async (request) => {
  const script = join('test', 'bench', 'media_opencv.py');
  const args = [script, request.clip.path, String(maxSide), ...targetsOf(request).map(String)];
  const { stdout } = await run(python, args, { encoding: 'buffer', maxBuffer });
  return splitJpegs(stdout);
};

export const frameMethods: Readonly<Record<string, FrameMethod>> = {
  ours: ours({ accuracy: 'auto' }),
  'ours-exact': ours({ accuracy: 'exact' }),
  'full-decode': fullDecode,
  'seek-per-frame': seekPerFrame,
  opencv: openCv,
  'keyframes-alone': keyframesAlone,
};

/** How much a picture has to differ from the one before it to begin a scene. ffmpeg's manual calls 0.3 to 0.5 sane. */
const sceneScore = 0.3;

/** The usual way: every frame is decoded, and those that begin a scene are spread over the places there are. */
const selectScene: FrameMethod = async ({ clip, frames, ffmpeg }) => {
  // The first frame begins a scene as well, but follows no other.
  const filters = `select='eq(n,0)+gt(scene,${sceneScore})',scale=${maxSide}:-2`;
  const input = [...quietly, '-i', clip.path, '-vf', filters, '-vsync', '0', ...jpegOutput];
  const { stdout } = await run(ffmpeg, input, { encoding: 'buffer', maxBuffer });
  const all = splitJpegs(stdout);
  const step = Math.max(1, all.length / frames);
  return all.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
};

/** Ways to choose the frames that matter. */
export const sceneMethods: Readonly<Record<string, FrameMethod>> = {
  uniform: ours({ sampling: 'uniform' }),
  scenes: ours({ sampling: 'scenes' }),
  'select-scene': selectScene,
};

type PictureMethod = (path: string) => Promise<unknown>;

/** Only the part of jimp that is measured; it is installed for the benchmarks alone. */
interface Jimp {
  readonly Jimp: {
    read(path: string): Promise<{
      scaleToFit(box: { w: number; h: number }): {
        getBuffer(type: string, options: object): Promise<Buffer>;
      };
    }>;
  };
}

/** Without a cache, so that every time counts. */
const pictureProcessor = new DefaultMediaProcessor({ maxSide, cacheBytes: 0 });

export const pictureMethods: Readonly<Record<string, PictureMethod>> = {
  ours: (path) => pictureProcessor.prepare(path),
  sharp: async (path) =>
    sharp(await readFile(path))
      .autoOrient()
      .resize({ width: maxSide, height: maxSide, fit: 'inside' })
      .toColorspace('srgb')
      .jpeg({ quality: 75 })
      .toBuffer(),
  jimp: async (path) => {
    const name = 'jimp';
    const { Jimp } = (await import(name)) as Jimp;
    const picture = await Jimp.read(path);
    return picture.scaleToFit({ w: maxSide, h: maxSide }).getBuffer('image/jpeg', { quality: 75 });
  },
};

/** Why a method cannot be measured here, and what would change that. */
export async function obstacleTo(method: string): Promise<string | undefined> {
  if (method === 'opencv') {
    const found = run(python, ['-c', 'import cv2']);
    return found.then(
      () => undefined,
      () => 'OpenCV is not installed: apt install python3-opencv',
    );
  }
  if (method === 'jimp') {
    const name = 'jimp';
    return import(name).then(
      () => undefined,
      () => 'jimp is not installed: npm ci --prefix test/bench',
    );
  }
  return undefined;
}
