import { spawn } from 'node:child_process';
import { once } from 'node:events';
import sharp from 'sharp';
import { availableFfmpegs } from './media-fixtures.js';
import { seededRandom } from './seeded-random.js';

/** Clips are drawn this small and scaled up, which is what makes long ones affordable. */
const width = 64;
const height = 36;
const blockPixels = 4;

/** A small picture, three bytes a pixel. */
type Drawing = Buffer;

/** The picture of a scene: blocks of colors that no other scene has in the same places. */
function drawScene(scene: number, columns = width): Drawing {
  const random = seededRandom(scene + 1);
  const blocks = Array.from({ length: (columns / blockPixels) * (height / blockPixels) }, () =>
    [0, 1, 2].map(() => 20 + Math.floor(random() * 216)),
  );
  const picture = Buffer.alloc(columns * height * 3);
  for (let at = 0; at < columns * height; at += 1) {
    const block = Math.floor(at / columns / blockPixels) * (columns / blockPixels);
    picture.set(blocks[block + Math.floor((at % columns) / blockPixels)] ?? [], at * 3);
  }
  return picture;
}

/** Which of the first `scenes` scenes a picture shows. */
export async function sceneShown(picture: Uint8Array, scenes: number): Promise<number> {
  const seen = await sharp(picture).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
  const distances = Array.from({ length: scenes }, (_, scene) =>
    drawScene(scene).reduce((sum, value, at) => sum + Math.abs(value - (seen[at] ?? 0)), 0),
  );
  return distances.indexOf(Math.min(...distances));
}

function mix(one: Drawing, other: Drawing, share: number): Drawing {
  return Buffer.from(one.map((value, at) => value + ((other[at] ?? 0) - value) * share));
}

const scenes = new Map<number, Drawing>();

function sceneOf(scene: number): Drawing {
  const drawn = scenes.get(scene) ?? drawScene(scene);
  scenes.set(scene, drawn);
  return drawn;
}

const black = Buffer.alloc(width * height * 3);
const white = Buffer.alloc(width * height * 3, 255);

export interface Cut {
  readonly scene: number;
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** Scenes 0, 1, 2 and so on, each of the given length in seconds. */
export function cutsOf(lengths: readonly number[]): readonly Cut[] {
  let startSeconds = 0;
  return lengths.map((length, scene) => {
    const cut = { scene, startSeconds, endSeconds: startSeconds + length };
    startSeconds = cut.endSeconds;
    return cut;
  });
}

export type Draw = (seconds: number) => Drawing;

/** One scene after the other; `fadeSeconds` of each end fade to and from black. */
export function drawCuts(cuts: readonly Cut[], fadeSeconds = 0): Draw {
  return (seconds) => {
    const cut = cuts.find(({ endSeconds }) => seconds < endSeconds) ?? cuts.at(-1);
    if (!cut) return black;
    const toEdge = Math.min(seconds - cut.startSeconds, cut.endSeconds - seconds);
    return toEdge < fadeSeconds ? mix(black, sceneOf(cut.scene), toEdge / fadeSeconds) : sceneOf(cut.scene);
  };
}

/** `draw`, but white for a moment every few seconds. */
export function withFlashes(draw: Draw, everySeconds: number): Draw {
  return (seconds) => (seconds % everySeconds > everySeconds - 0.1 ? white : draw(seconds));
}

/** A screen on which nothing happens but that a cursor blinks. */
export const drawStillScreen: Draw = (seconds) => {
  if (seconds % 1 < 0.5) return sceneOf(0);
  const screen = Buffer.from(sceneOf(0));
  screen.fill(255, (20 * width + 30) * 3, (20 * width + 31) * 3);
  return screen;
};

/** A speaker who moves a little in front of a wall. */
export const drawSpeaker: Draw = (seconds) => {
  const picture = Buffer.from(sceneOf(0));
  const left = 28 + Math.round(2 * Math.sin(seconds * 1.7));
  const top = 12 + Math.round(Math.sin(seconds * 2.9));
  for (let row = top; row < top + 12; row += 1) {
    picture.fill(Buffer.from([200, 150, 120]), (row * width + left) * 3, (row * width + left + 8) * 3);
  }
  return picture;
};

/** A slow look from one side of a wide picture to the other, of `seconds` in all. */
export function drawPan(wholeSeconds: number): Draw {
  const columns = width * 4;
  const wide = drawScene(0, columns);
  return (seconds) => {
    const left = Math.round((seconds / wholeSeconds) * (columns - width));
    const rows = Array.from({ length: height }, (_, row) => {
      const at = (row * columns + left) * 3;
      return wide.subarray(at, at + width * 3);
    });
    return Buffer.concat(rows);
  };
}

export interface DrawnClip {
  readonly path: string;
  readonly seconds: number;
  readonly draw: Draw;
  readonly fps?: number;
  readonly size?: string;
  /** Frames between keyframes, at most. */
  readonly gop?: number;
  /** Whether the encoder puts keyframes where it sees a cut. */
  readonly keyframesAtCuts?: boolean;
  /** More filters after scaling up. */
  readonly filters?: readonly string[];
  readonly codec?: readonly string[];
}

/** Makes a clip of drawings. */
export async function makeDrawnClip(clip: DrawnClip): Promise<string> {
  const { path, seconds, draw, fps = 25, size = '320:180', gop = 30, keyframesAtCuts = false } = clip;
  const [ffmpeg] = availableFfmpegs().values();
  if (!ffmpeg) throw new Error('These tests need ffmpeg: apt install ffmpeg.');
  const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '26'];
  const args = [
    ...['-v', 'error', '-nostdin', '-y', '-f', 'rawvideo', '-pix_fmt', 'rgb24'],
    ...['-s', `${width}x${height}`, '-r', String(fps), '-i', 'pipe:0', '-vf'],
    [`scale=${size}:flags=neighbor`, ...(clip.filters ?? []), 'format=yuv420p'].join(','),
    ...['-g', String(gop), ...(clip.codec ?? h264), '-sc_threshold', keyframesAtCuts ? '40' : '0', path],
  ];
  const child = spawn(ffmpeg, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  const closed = once(child, 'close');
  for (let frame = 0; frame < seconds * fps; frame += 1) {
    if (!child.stdin.write(draw(frame / fps))) await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await closed;
  if (code !== 0) throw new Error(`${path} could not be made: ffmpeg ended with ${code}.`);
  return path;
}
