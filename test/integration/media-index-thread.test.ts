import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { makeClip, readPattern } from '../support/media-fixtures.js';

const programs = {
  'that does not start': "require('a-package-that-is-not-installed')",
  'that lacks a function': `require('node:worker_threads').parentPort.on('message', ({ id }) => {
    let error;
    try { helperOfTranspiler(); } catch (thrown) { error = String(thrown); }
    require('node:worker_threads').parentPort.postMessage({ id, error });
  })`,
};

/** A module of its own for each test, since a broken thread is told of once in a process. */
async function prepareWith(program: string, clip: string): Promise<PreparedMedia> {
  vi.resetModules();
  vi.doMock('../../src/media/video/thread-program.js', () => ({ threadProgram: () => program }));
  const { DefaultMediaProcessor } = await import('../../src/media/default-media-processor.js');
  await using processor = new DefaultMediaProcessor({ frames: 2, audio: false, cacheBytes: 0 });
  await processor.prepare(clip);
  return await processor.prepare(clip);
}

describe('a thread for packet indexes', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'index-thread-'));
  });
  afterEach(async () => {
    vi.doUnmock('../../src/media/video/thread-program.js');
    await rm(directory, { recursive: true });
  });

  it.each(Object.entries(programs))('%s costs time, not frames, and is told of once', async (_, program) => {
    const warnings: (Error & { code?: string })[] = [];
    const listen = (warning: Error) => void warnings.push(warning);
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    const path = await makeClip({ path: join(directory, 'clip.mp4'), seconds: 4 });
    const { parts } = await prepareWith(program, path);
    expect(await Promise.all(parts.map(({ data }) => readPattern(data)))).toEqual([25, 75]);
    expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_CHAT_INDEX_THREAD']);
    expect(warnings[0]?.message).toContain('ffmpeg reads each clip through');
  });
});
