import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MediaCapabilities } from '../../core/media.js';
import { audioTokens, imageTokens } from '../../core/media-tokens.js';
import { type MediaOptions, mediaOptionsSchema } from '../media-options.js';
import { settingsFor } from './detail-budget.js';

const resolved = (options: MediaOptions) => mediaOptionsSchema.parse(options);

const settings = (
  options: MediaOptions,
  kind: 'image' | 'video',
  maxTokens?: number,
  accepts?: MediaCapabilities,
) => {
  const { detail, frames, maxSide } = settingsFor(resolved(options), kind, { maxTokens, accepts });
  return { detail, frames, maxSide };
};

describe('settingsFor', () => {
  it.each([
    ['low', 'image', 'low', 512],
    ['low', 'video', 'low', 512],
    ['auto', 'image', 'high', 768],
    ['auto', 'video', 'medium', 768],
    ['high', 'image', 'ultra-high', 1536],
    ['high', 'video', 'high', 1024],
  ] as const)('shows %s detail of a %s as %s within %i pixels', (detail, kind, resolution, maxSide) => {
    expect(settings({ detail }, kind)).toMatchObject({ detail: resolution, maxSide });
  });

  it('keeps a given side', () => {
    expect(settings({ detail: 'high', maxSide: 300 }, 'image')).toMatchObject({ maxSide: 300 });
  });

  it('looks less closely before it shows fewer frames', () => {
    expect(settings({ frames: 8 }, 'video', 8 * 560)).toMatchObject({ detail: 'medium', frames: 8 });
    expect(settings({ frames: 8 }, 'video', 8 * 560 - 1)).toMatchObject({ detail: 'low', frames: 8 });
    expect(settings({ frames: 8 }, 'video', 5 * 280)).toMatchObject({ detail: 'low', frames: 5 });
    expect(settings({ frames: 8 }, 'video', 1)).toMatchObject({ detail: 'low', frames: 2 });
  });

  it('counts 1,120 tokens a picture for a model without a detail setting', () => {
    const accepts = { inline: ['image/jpeg'] };
    expect(settings({ frames: 8 }, 'video', 8 * 1120, accepts)).toEqual({ frames: 8, maxSide: 768 });
    expect(settings({ frames: 8 }, 'video', 8 * 1120 - 1, accepts)).toEqual({ frames: 7, maxSide: 768 });
    expect(settings({ detail: 'low' }, 'image', undefined, accepts)).toMatchObject({ maxSide: 512 });
  });

  it('sets the detail for a model that has the setting', () => {
    const accepts = { inline: ['image/jpeg'], detail: true };
    expect(settings({ frames: 8 }, 'video', 8 * 560, accepts)).toMatchObject({ detail: 'medium', frames: 8 });
  });

  it('gives sound what the frames leave', () => {
    const { maxAudioMs } = settingsFor(resolved({ frames: 8 }), 'video', { maxTokens: 8 * 560 + 320 });
    expect(maxAudioMs).toBe(10_000);
  });

  it('stays within the budget for any options, down to two frames of the lowest detail', () => {
    const options = fc.record({
      frames: fc.integer({ min: 1, max: 256 }),
      detail: fc.constantFrom('low' as const, 'auto' as const, 'high' as const),
      maxAudioMs: fc.integer({ min: 1, max: 36_000_000 }),
    });
    fc.assert(
      fc.property(options, fc.integer({ min: 560, max: 1_000_000 }), (asked, maxTokens) => {
        const { detail, frames, maxAudioMs } = settingsFor(resolved(asked), 'video', { maxTokens });
        expect(frames * imageTokens(detail) + Math.floor(audioTokens(maxAudioMs) - 1)).toBeLessThanOrEqual(
          maxTokens,
        );
        expect(frames).toBeLessThanOrEqual(asked.frames);
      }),
    );
  });
});
