import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import type { MediaOptions } from '../../src/media/media-options.js';
import { availableFfmpegs } from '../support/media-fixtures.js';
import {
  cutsOf,
  type DrawnClip,
  drawCuts,
  drawPan,
  drawSpeaker,
  drawStillScreen,
  makeDrawnClip,
  sceneShown,
  withFlashes,
} from '../support/scene-clips.js';

const ffmpegs = [...availableFfmpegs()];
const grain = ['noise=alls=8:allf=t'];

describe.skipIf(ffmpegs.length === 0 && !process.env.CI)('sampling by scenes', { timeout: 120_000 }, () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'scenes-test-'));
  });

  afterAll(() => rm(directory, { recursive: true }));

  const make = (name: string, clip: Omit<DrawnClip, 'path'>) =>
    makeDrawnClip({ path: join(directory, name), ...clip });

  async function show(path: string, options: MediaOptions) {
    await using processor = new DefaultMediaProcessor({ ...options, audio: false });
    return await processor.prepare(path);
  }

  async function scenesOf(path: string, options: MediaOptions, scenes: number): Promise<Set<number>> {
    const { parts } = await show(path, options);
    return new Set(await Promise.all(parts.map((part) => sceneShown(part.data, scenes))));
  }

  const lengths = [60, 5, 40, 4, 7, 50, 6, 28];
  const cuts = cutsOf(lengths);
  const seconds = lengths.reduce((sum, length) => sum + length, 0);

  it.each([
    { name: 'gop30.mp4', gop: 30, least: 8 },
    { name: 'gop30-cuts.mp4', gop: 30, keyframesAtCuts: true, least: 8 },
    { name: 'gop30-fades.mp4', gop: 30, fades: 1, least: 8 },
    { name: 'gop30-flashes.mp4', gop: 30, flashes: 7, least: 8 },
    { name: 'gop250-cuts.mp4', gop: 250, keyframesAtCuts: true, least: 8 },
  ])('shows more scenes of $name than uniform sampling', async (clip) => {
    const { name, gop, keyframesAtCuts = false, fades = 0, flashes, least } = clip;
    const drawn = drawCuts(cuts, fades);
    const draw = flashes ? withFlashes(drawn, flashes) : drawn;
    const path = await make(name, { seconds, draw, gop, keyframesAtCuts, filters: grain });
    const uniform = await scenesOf(path, { frames: 8 }, lengths.length);
    const scenes = await scenesOf(path, { frames: 8, sampling: 'scenes' }, lengths.length);
    expect(uniform.size).toBeLessThan(least);
    expect(scenes.size).toBeGreaterThanOrEqual(least);
    for (const scene of uniform) expect(scenes).toContain(scene);
  });

  it('shows no fewer scenes than uniform sampling where some scenes have no keyframe', async () => {
    const path = await make('gop250.mp4', { seconds, draw: drawCuts(cuts), gop: 250, filters: grain });
    for (const frames of [4, 8]) {
      const uniform = await scenesOf(path, { frames }, lengths.length);
      const scenes = await scenesOf(path, { frames, sampling: 'scenes' }, lengths.length);
      for (const scene of uniform) expect(scenes).toContain(scene);
    }
  });

  it.each([
    { name: 'short.mp4', gop: 250, ffmpegPath: undefined },
    { name: 'short.mkv', gop: 30, ffmpegPath: undefined },
    { name: 'short.avi', gop: 30, ffmpegPath: undefined },
    ...ffmpegs.map(([ffmpeg, ffmpegPath]) => ({
      name: `${ffmpeg.replace(/\W/g, '')}.flv`,
      gop: 30,
      ffmpegPath,
    })),
  ])(
    'shows every scene of $name, a clip with few keyframes or no index',
    async ({ name, gop, ffmpegPath }) => {
      const short = [6, 0.8, 5, 0.6, 0.9, 4, 0.7, 2];
      const draw = drawCuts(cutsOf(short));
      const path = await make(name, { seconds: 20, draw, gop, filters: grain });
      const scenes = await scenesOf(path, { frames: 8, sampling: 'scenes', ffmpegPath }, short.length);
      expect([...scenes].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      const uniform = await scenesOf(path, { frames: 8, ffmpegPath }, short.length);
      expect(uniform.size).toBeLessThan(8);
    },
  );

  it.each([
    { name: 'still.mp4', gop: 250, seconds: 300 },
    { name: 'still-short.mp4', gop: 250, seconds: 12 },
    { name: 'still.avi', gop: 250, seconds: 150 },
  ])('shows a still screen, $name, by a few frames, and says so', async ({ name, gop, seconds }) => {
    const path = await make(name, {
      seconds,
      draw: drawStillScreen,
      gop,
      fps: 10,
      filters: ['noise=alls=3:allf=t'],
    });
    const media = await show(path, { frames: 32, sampling: 'scenes' });
    const times = media.parts.map((part) => part.timestampMs ?? 0);
    expect(times).toHaveLength(3);
    const slackMs = (seconds * 1000) / 32;
    expect(times[0]).toBeLessThanOrEqual(slackMs);
    expect(times[2]).toBeGreaterThanOrEqual(seconds * 1000 - 2 * slackMs);
    expect(media.note).toMatch(/Nothing else changes in between/);
    expect(media.estimatedTokens).toBeLessThan(5000);
    const whole = await show(path, { frames: 32 });
    expect(whole.parts).toHaveLength(32);
    expect(whole.note).toBeUndefined();
  });

  it('keeps the spread of uniform sampling where a picture moves slowly and never cuts', async () => {
    const path = await make('pan.mp4', { seconds: 120, draw: drawPan(120), filters: grain });
    const { parts, note } = await show(path, { frames: 8, sampling: 'scenes' });
    const uniform = await show(path, { frames: 8 });
    expect(parts.map((part) => part.timestampMs)).toEqual(uniform.parts.map((part) => part.timestampMs));
    expect(note).toBeUndefined();
  });

  it('shows the exact frames that uniform sampling would, if frames are to be exact', async () => {
    const path = await make('exact-pan.mp4', { seconds: 120, draw: drawPan(120), gop: 60, filters: grain });
    const timesOf = async (options: MediaOptions) =>
      (await show(path, { frames: 8, ...options })).parts.map((part) => part.timestampMs);
    const exact = await timesOf({ sampling: 'scenes', accuracy: 'exact' });
    expect(exact).toEqual(await timesOf({ accuracy: 'exact' }));
    expect(exact).not.toEqual(await timesOf({ sampling: 'scenes' }));
  });

  it('misses no scene that exact uniform sampling shows, and finds those between', async () => {
    const path = await make('exact-cuts.mp4', { seconds, draw: drawCuts(cuts), gop: 60, filters: grain });
    const uniform = await scenesOf(path, { frames: 8, accuracy: 'exact' }, lengths.length);
    const scenes = await scenesOf(path, { frames: 8, accuracy: 'exact', sampling: 'scenes' }, lengths.length);
    expect(uniform.size).toBeLessThan(8);
    expect(scenes.size).toBeGreaterThan(uniform.size);
    for (const scene of uniform) expect(scenes).toContain(scene);
  });

  it('spends no frames twice on a speaker, and none on grain', async () => {
    const path = await make('speaker.mp4', {
      ...{ seconds: 120, draw: drawSpeaker, filters: ['noise=alls=20:allf=t'] },
    });
    const { parts } = await show(path, { frames: 8, sampling: 'scenes' });
    const times = parts.map((part) => part.timestampMs ?? 0);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
    expect(times[0]).toBeLessThan(15_000);
    expect(times.at(-1)).toBeGreaterThan(105_000);
  });

  it('looks only at the part that is asked for', async () => {
    const path = await make('part.mp4', { seconds, draw: drawCuts(cuts), filters: grain });
    await using processor = new DefaultMediaProcessor({ frames: 8, sampling: 'scenes' });
    const { parts } = await processor.prepare({ data: path, startMs: 60_000, endMs: 116_000 });
    for (const { timestampMs = 0 } of parts) {
      expect(timestampMs).toBeGreaterThanOrEqual(60_000);
      expect(timestampMs).toBeLessThan(116_000);
    }
    const scenes = await Promise.all(parts.map((part) => sceneShown(part.data, lengths.length)));
    expect([...new Set(scenes)]).toEqual([1, 2, 3, 4]);
  });
});
