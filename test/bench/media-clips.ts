import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { makeClip } from '../support/media-fixtures.js';
import {
  cutsOf,
  type DrawnClip,
  drawCuts,
  drawPan,
  drawSpeaker,
  drawStillScreen,
  makeDrawnClip,
  withFlashes,
} from '../support/scene-clips.js';
import { seededRandom } from '../support/seeded-random.js';

export const fps = 30;
/** A little more than what the package takes for just now. */
const settledMs = 2500;
/** Clips of more than this repeat, so numbers are told apart within it. */
export const loopSeconds = 60;

export interface BenchClip {
  readonly name: string;
  readonly path: string;
  readonly seconds: number;
}

const directory = join(tmpdir(), 'multimodal-chat-bench-media');

/** Made under another name first, so that the leftovers of an interrupted run are never used as a clip. */
async function makeOnce(name: string, make: (path: string) => Promise<void> | void): Promise<string> {
  const path = join(directory, name);
  if (existsSync(path)) return path;
  process.stderr.write(`making ${name}\n`);
  await mkdir(directory, { recursive: true });
  const unfinished = join(directory, `unfinished-${process.pid}-${name}`);
  await make(unfinished);
  await rename(unfinished, path);
  return path;
}

/** Pixels of the clips, by their usual names. */
const sizes = { '1080p': { width: 1920, height: 1080 }, '4k': { width: 3840, height: 2160 } } as const;

export interface ClipKind {
  readonly size?: keyof typeof sizes;
  /** Whether pictures refer to later ones, as encoders do by default. */
  readonly bFrames?: boolean;
}

/** A clip with grain, so that it decodes about as slowly as a filmed one; kept for the next run. */
export async function benchClip(
  ffmpeg: string,
  seconds: number,
  gop: number,
  { size = '1080p', bFrames = false }: ClipKind = {},
): Promise<BenchClip> {
  const prefix = `${size === '1080p' ? '' : `${size}-`}${bFrames ? 'bframes-' : ''}`;
  const preset = bFrames ? ['veryfast', '-bf', '3', '-b_strategy', '0'] : ['ultrafast'];
  // Where pictures refer to later ones a clip cannot be cut without a remainder.
  const made = prefix === '' ? loopSeconds : Math.min(seconds, loopSeconds);
  const loop = await makeOnce(`${prefix}loop-${made}s-gop${gop}.mp4`, async (path) => {
    await makeClip({
      ...{ ffmpeg, path, fps, gop, seconds: made, ...sizes[size] },
      filters: ['noise=alls=8:allf=t'],
      codec: ['-c:v', 'libx264', '-preset', ...preset, '-crf', '26', '-sc_threshold', '0'],
    });
  });
  const name = `${prefix}${seconds}s-gop${gop}.mp4`;
  const path = await makeOnce(name, (unfinished) => {
    const loops = String(Math.ceil(seconds / made) - 1);
    const input = ['-v', 'error', '-y', '-stream_loop', loops, '-i', loop];
    const { status, stderr } = spawnSync(ffmpeg, [...input, '-t', String(seconds), '-c', 'copy', unfinished]);
    if (status !== 0) throw new Error(`${name} could not be made: ${stderr}`);
  });
  await settle(path);
  return { name, path, seconds };
}

/** A file that has just changed is read as a whole, because the clock cannot tell whether it changes again. */
async function settle(path: string): Promise<void> {
  const ageMs = Date.now() - (await stat(path)).ctimeMs;
  if (ageMs < settledMs) await new Promise((resolve) => setTimeout(resolve, settledMs - ageMs));
}

/** A file of a number of keyframes of a 1080p clip and nothing else. */
export async function benchKeyframes(ffmpeg: string, count: number): Promise<string> {
  const { path } = await benchClip(ffmpeg, loopSeconds, 30);
  return makeOnce(`keyframes-${count}.mkv`, (unfinished) => {
    const input = ['-v', 'error', '-y', '-discard', 'nokey', '-i', path, '-frames:v', String(count)];
    const { status, stderr } = spawnSync(ffmpeg, [...input, '-c', 'copy', '-f', 'matroska', unfinished]);
    if (status !== 0) throw new Error(`The keyframes could not be copied: ${stderr}`);
  });
}

export interface SceneClip extends BenchClip {
  /** How many different scenes it has. */
  readonly scenes: number;
}

const sceneClipSeconds = 600;

/** Lengths from a few seconds to a minute and more, as films have them. */
function sceneLengths(count: number, seconds = sceneClipSeconds): number[] {
  const random = seededRandom(count);
  const shares = Array.from({ length: count }, () => Math.exp(2.5 * random()));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => (share * seconds) / whole);
}

const few = drawCuts(cutsOf(sceneLengths(12)));
const many = drawCuts(cutsOf(sceneLengths(40)));
const hour = drawCuts(cutsOf(sceneLengths(40, 3600)));
const faded = drawCuts(cutsOf(sceneLengths(24)), 0.8);

interface SceneKind extends Pick<DrawnClip, 'draw' | 'gop' | 'keyframesAtCuts' | 'size'> {
  readonly scenes: number;
  /** Default: ten minutes. */
  readonly seconds?: number;
  /** Strength of the grain, as ffmpeg's noise filter has it. */
  readonly grain?: number;
}

const sceneKinds: Readonly<Record<string, SceneKind>> = {
  'few-gop30': { scenes: 12, draw: few, gop: 30, size: '1280:720', grain: 8 },
  'many-gop30': { scenes: 40, draw: many, gop: 30 },
  'many-gop250': { scenes: 40, draw: many, gop: 250 },
  'many-gop250-cuts': { scenes: 40, draw: many, gop: 250, keyframesAtCuts: true },
  'fades-gop30': { scenes: 24, draw: faded, gop: 30 },
  'flashes-gop30': { scenes: 12, draw: withFlashes(few, 7), gop: 30 },
  speaker: { scenes: 1, draw: drawSpeaker, gop: 250 },
  still: { scenes: 1, draw: drawStillScreen, gop: 250 },
  pan: { scenes: 1, draw: drawPan(sceneClipSeconds), gop: 250 },
  'hour-gop250': { scenes: 40, draw: hour, gop: 250, seconds: 3600 },
  'hour-720p-gop30': { scenes: 40, draw: hour, gop: 30, seconds: 3600, size: '1280:720', grain: 8 },
};

/** Ten minutes and more each, small but with grain; kept for the next run. */
export async function sceneClips(): Promise<SceneClip[]> {
  const clips: SceneClip[] = [];
  for (const [kind, clip] of Object.entries(sceneKinds)) {
    const name = `scenes-${kind}.mp4`;
    const { grain = 4, scenes, seconds = sceneClipSeconds, size = '640:360', ...drawn } = clip;
    const filters = [`noise=alls=${grain}:allf=t`];
    const path = await makeOnce(name, async (unfinished) => {
      await makeDrawnClip({ ...drawn, path: unfinished, seconds, fps, size, filters });
    });
    await settle(path);
    clips.push({ name, path, seconds, scenes });
  }
  return clips;
}

export const pictureFormats = ['jpeg', 'png', 'webp'] as const;

/** A picture of 12 megapixels with soft grain. */
export function benchPicture(format: (typeof pictureFormats)[number]): Promise<string> {
  return makeOnce(`picture.${format}`, async (path) => {
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
    const grain = sharp({ create: { width: 4000, height: 3000, channels: 3, background: '#888', noise } });
    await writeFile(path, await grain.blur(2).toFormat(format).toBuffer());
  });
}
