import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { type StartWorker, workerStarts } from '../../src/media/video/index/start-worker.js';
import { makeClip, readPattern } from '../support/media-fixtures.js';

const missingFile: StartWorker = (options) => new Worker(join(tmpdir(), 'no-such-worker.cjs'), options);
const missingPackage: StartWorker = () => {
  throw new Error("Cannot find module 'multimodal-chat/package.json'");
};
const missingDependency: StartWorker = (options) =>
  new Worker("require('a-package-that-is-not-installed')", { ...options, eval: true });
const silentExit: StartWorker = (options) => new Worker('process.exit()', { ...options, eval: true });

interface Preparation {
  readonly media: PreparedMedia;
  readonly warnings: readonly (Error & { code?: string })[];
  /** Messages of workers. */
  readonly messages: number;
}

/** Prepares a clip twice with modules of their own, since a process warns of a missing worker once. */
async function prepareWith(starts: readonly StartWorker[], clip: string): Promise<Preparation> {
  const warnings: (Error & { code?: string })[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  let messages = 0;
  const onWorker = (worker: Worker) =>
    worker.on('message', () => {
      messages += 1;
    });
  process.on('warning', onWarning);
  process.on('worker', onWorker);
  onTestFinished(() => {
    process.off('warning', onWarning);
    process.off('worker', onWorker);
    vi.doUnmock('../../src/media/video/index/start-worker.js');
  });
  vi.resetModules();
  vi.doMock('../../src/media/video/index/start-worker.js', () => ({ workerStarts: starts }));
  const { DefaultMediaProcessor } = await import('../../src/media/default-media-processor.js');
  await using processor = new DefaultMediaProcessor({ frames: 2, audio: false, cacheBytes: 0 });
  await processor.prepare(clip);
  const media = await processor.prepare(clip);
  return { media, warnings, messages };
}

describe('the index worker', () => {
  let directory: string;
  let clip: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'index-thread-'));
    clip = await makeClip({ path: join(directory, 'clip.mp4'), seconds: 4 });
  });
  afterEach(() => rm(directory, { recursive: true }));

  const shownFrames = ({ parts }: PreparedMedia) => Promise.all(parts.map(({ data }) => readPattern(data)));

  it.each(Object.entries({ missingFile, missingPackage, missingDependency, silentExit }))(
    'costs time, not frames, when it cannot start (%s), and warns once',
    async (_, start) => {
      const { media, warnings, messages } = await prepareWith([start], clip);
      expect(await shownFrames(media)).toEqual([25, 75]);
      expect(messages).toBe(0);
      expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_CHAT_INDEX_WORKER']);
      expect(warnings[0]?.message).toContain('copy node_modules/multimodal-chat/dist/index-worker.cjs');
    },
  );

  it('is started from the next place when its file is missing in the first', async () => {
    const { media, warnings, messages } = await prepareWith(
      [missingFile, missingPackage, ...workerStarts],
      clip,
    );
    expect(await shownFrames(media)).toEqual([25, 75]);
    expect(warnings).toEqual([]);
    expect(messages).toBeGreaterThan(2);
  });
});
