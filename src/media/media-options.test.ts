import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../core/errors.js';
import { DefaultMediaProcessor } from './default-media-processor.js';
import { type MediaOptions, mediaOptionsSchema } from './media-options.js';

describe('mediaOptionsSchema', () => {
  it('fills in every default', () => {
    expect(mediaOptionsSchema.parse({})).toMatchObject({
      ...{ frames: 8, maxPages: 8, detail: 'auto', maxTiles: 0, quality: 75, video: 'frames' },
      ...{ allowPaths: true, allowUrls: false, maxInlineBytes: 35 * 2 ** 20, timeoutMs: 120_000 },
      concurrency: Math.max(1, Math.floor(availableParallelism() / 2)),
    });
  });

  it('shows as many pages as frames unless told otherwise', () => {
    expect(mediaOptionsSchema.parse({ frames: 3 }).maxPages).toBe(3);
    expect(mediaOptionsSchema.parse({ frames: 3, maxPages: 5 }).maxPages).toBe(5);
  });

  it('accepts its own output', () => {
    const options = mediaOptionsSchema.parse({ frames: 3 });
    expect(mediaOptionsSchema.parse(options)).toEqual(options);
  });
});

describe('new DefaultMediaProcessor()', () => {
  const open = (options: object) => () => new DefaultMediaProcessor(options as MediaOptions);

  it('names every wrong option at once', () => {
    expect(open({ frames: -3, detail: 'hihg' })).toThrow(ConfigurationError);
    expect(open({ frames: -3, detail: 'hihg' })).toThrow(/DefaultMediaProcessor.*`frames`.*`detail`/);
  });

  it.each([
    ['frames', 0],
    ['frames', 257],
    ['frames', 1.5],
    ['maxSide', 8],
    ['maxTiles', -1],
    ['quality', 101],
    ['accuracy', 'fast'],
    ['sampling', 'random'],
    ['video', 'whole'],
    ['audio', 'yes'],
    ['maxAudioMs', 0],
    ['maxPages', 0],
    ['ffmpegPath', ' '],
    ['allowUrls', 1],
    ['pathRoot', ''],
    ['maxBytes', 0],
    ['timeoutMs', -1],
    ['concurrency', 0],
    ['cacheBytes', -1],
  ])('refuses %s: %j', (name, value) => {
    expect(open({ [name]: value })).toThrow(new RegExp(`\`${name}\``));
  });

  it('refuses an unknown option', () => {
    expect(open({ frame: 8 })).toThrow(/frame/);
  });
});
