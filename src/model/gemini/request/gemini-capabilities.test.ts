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
    ['gemini-flash-latest', true, ['low', 'medium', 'high']],
    ['models/gemini-flash-lite-latest', true, ['minimal', 'low', 'medium', 'high']],
    ['gemini-3.1-pro-preview-customtools', true, ['low', 'medium', 'high']],
    ['gemini-3-flash-preview', true, ['minimal', 'low', 'medium', 'high']],
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

  it.each([
    ['gemini-3.8-flash', undefined, undefined, 5],
    ['gemini-2.5-flash-lite', true, undefined, 5],
    ['gemini-3-pro-image-preview', undefined, ['text', 'image'], 1],
    ['gemini-3.1-flash-image', undefined, ['text', 'image'], 1],
    ['gemini-3.8-flash-tts', undefined, ['audio'], undefined],
    ['gemma-3-27b-it', undefined, undefined, undefined],
    ['my-alias', undefined, undefined, undefined],
  ])('of %s: a thinking budget %s, modalities %j, %s built-in tools', (name, budget, modalities, tools) => {
    const found = capabilitiesOf(name);
    expect(found.thinkingBudget).toBe(budget);
    expect(found.modalities).toEqual(modalities);
    expect(found.builtIn?.length).toBe(tools);
  });

  it('of Gemma: pictures and no other media', () => {
    const { inline, upload } = capabilitiesOf('models/gemma-3-27b-it').media;
    expect(inline.every((type) => type.startsWith('image/'))).toBe(true);
    expect(upload).toBeUndefined();
  });
});
