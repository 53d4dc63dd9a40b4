import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { makeClip } from '../support/media-fixtures.js';

export const fps = 30;
/** Clips of more than this repeat, so numbers are told apart within it. */
export const loopSeconds = 60;

export interface BenchClip {
  readonly name: string;
  readonly path: string;
  readonly seconds: number;
}

const directory = join(tmpdir(), 'multimodal-chat-bench-media');

/** Made under another name first, so that what an interrupted run leaves is never taken for a clip. */
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

/** A 1080p clip with grain, so that it decodes about as slowly as a filmed one; kept for the next run. */
export async function benchClip(ffmpeg: string, seconds: number, gop: number): Promise<BenchClip> {
  const minute = await makeOnce(`minute-gop${gop}.mp4`, async (path) => {
    await makeClip({
      ...{ ffmpeg, path, fps, gop, seconds: loopSeconds, width: 1920, height: 1080 },
      filters: ['noise=alls=8:allf=t'],
      codec: ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '26', '-sc_threshold', '0'],
    });
  });
  const name = `${seconds}s-gop${gop}.mp4`;
  const path = await makeOnce(name, (unfinished) => {
    const loops = String(Math.ceil(seconds / loopSeconds) - 1);
    const input = ['-v', 'error', '-y', '-stream_loop', loops, '-i', minute];
    const { status, stderr } = spawnSync(ffmpeg, [...input, '-t', String(seconds), '-c', 'copy', unfinished]);
    if (status !== 0) throw new Error(`${name} could not be made: ${stderr}`);
  });
  return { name, path, seconds };
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
