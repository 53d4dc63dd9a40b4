import { describe, expect, it } from 'vitest';
import { capabilitiesOf } from './gemini-capabilities.js';

describe('capabilitiesOf', () => {
  it.each([
    ['gemini-3.8-flash', true, ['low', 'medium', 'high']],
    ['models/gemini-3.8-flash', true, ['low', 'medium', 'high']],
    ['gemini-3.8-flash-001', true, ['low', 'medium', 'high']],
    ['gemini-3.1-pro-preview', true, ['low', 'medium', 'high']],
    ['gemini-3.1-pro-preview-11-2026', true, ['low', 'medium', 'high']],
    ['gemini-3.5-flash-lite', true, ['minimal', 'low', 'medium', 'high']],
    ['gemini-4-hydrogen', true, ['low', 'medium', 'high', 'xhigh']],
    ['gemini-2.5-flash', undefined, undefined],
    ['models/gemini-2.5-flash', undefined, undefined],
    ['gemma-3-27b-it', undefined, undefined],
    ['gemini-3.8-flash-tts', undefined, undefined],
    ['my-alias', undefined, undefined],
    ['constructor', undefined, undefined],
  ])('of %s: a resolution for single parts %s, thinking levels %j', (name, detail, thinkingLevels) => {
    const found = capabilitiesOf(name);
    expect(found.media.detail).toBe(detail);
    expect(found.thinkingLevels).toEqual(thinkingLevels);
  });
});
