import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MediaKind } from '../../core/media.js';
import { type Turn, toTurn } from '../../core/turn.js';
import type { ArchivedMedia } from '../../memory/media-archive.js';
import { chooseEarlierMedia, type EarlierMediaInput } from './choose-earlier-media.js';

const item = (
  id: string,
  kind: MediaKind,
  at: number,
  change: Partial<ArchivedMedia> = {},
): ArchivedMedia => ({
  id,
  kind,
  name: `${id}.bin`,
  fingerprint: id,
  source: { mimeType: 'video/mp4', bytes: 1 },
  parts: Array.from({ length: kind === 'video' ? 8 : 1 }, (_, index) => ({
    mimeType: kind === 'audio' ? 'audio/mpeg' : kind === 'document' ? 'application/pdf' : 'image/jpeg',
    ...(kind === 'video' && { timestampMs: index * 1000 }),
  })),
  estimatedTokens: kind === 'video' ? 8 * 1120 : 1120,
  firstAt: at,
  lastAt: at,
  ...change,
});

const clip = item('holiday', 'video', 1);
const picture = item('sketch', 'image', 2);
const secondClip = item('garden', 'video', 3);
const song = item('melody', 'audio', 4);
const contract = item('lease', 'document', 5);
const archived = [clip, picture, secondClip, song, contract];

const turnWith = (...media: readonly ArchivedMedia[]): Turn =>
  toTurn({
    tenant: 't',
    sessionId: 's',
    id: media.map(({ id }) => id).join('-'),
    createdAt: 0,
    prompt: 'p',
    reply: 'r',
    media: media.map(({ fingerprint, kind, name }) => ({ kind, name, fingerprint, mimeType: 'x/y' })),
  });

const choose = (prompt: string, change: Partial<EarlierMediaInput> = {}) =>
  chooseEarlierMedia({
    prompt,
    archived,
    recent: [],
    recalled: [],
    attached: [],
    maxTokens: 8000,
    ...change,
  });
const idsOf = (prompt: string, change?: Partial<EarlierMediaInput>) =>
  choose(prompt, change).map(({ media }) => media.id);

describe('chooseEarlierMedia', () => {
  it.each([
    ['What was on the wall in the first clip?', ['holiday']],
    ['And in the second video?', ['garden']],
    ['Describe the last clip once more', ['garden']],
    ['Was sieht man im zweiten Video?', ['garden']],
    ['Décris la première vidéo', ['holiday']],
    ['¿Qué aparece en el primer vídeo?', ['holiday']],
    ['第二个视频里有什么？', ['garden']],
    ['Что было в первом или первый видео ролик', ['holiday']],
    ['Who is in the photo?', ['sketch']],
    ['How long is the contract?', ['lease']],
    ['What does sketch.bin show?', ['sketch']],
    ['compare Holiday and garden', ['holiday', 'garden']],
    ['Tell me about the weather', []],
    ['What is in the seventh clip?', ['garden']],
  ])('chooses what %j refers to', (prompt, ids) => {
    expect(idsOf(prompt)).toEqual(ids);
  });

  it('chooses what was attached just before if the prompt names nothing', () => {
    expect(idsOf('And what came before that?', { recent: [turnWith(clip)] })).toEqual(['holiday']);
    const longAgo = [turnWith(clip), turnWith(), turnWith(), turnWith()];
    expect(idsOf('And what came before that?', { recent: longAgo })).toEqual([]);
  });

  it('chooses what belongs to recalled turns', () => {
    const recalled = [{ turn: turnWith(picture), score: 1 }];
    expect(idsOf('Which colour was the house?', { recalled })).toEqual(['sketch']);
    expect(
      idsOf('Which colour was the house in the clip?', { recalled: [{ turn: turnWith(clip), score: 1 }] }),
    ).toEqual(['holiday']);
  });

  it('chooses nothing for a prompt with its own attachments, unless it names others', () => {
    const attached = ['new'];
    expect(idsOf('What is in this clip?', { attached, recent: [turnWith(clip)] })).toEqual([]);
    expect(idsOf('Compare this with the first clip', { attached })).toEqual(['holiday']);
    expect(idsOf('Compare this with sketch.bin', { attached })).toEqual(['sketch']);
  });

  it('never repeats what is attached to the prompt itself', () => {
    expect(idsOf('What is in holiday.bin?', { attached: ['holiday'] })).toEqual([]);
  });

  it('includes sound only if the prompt asks about it', () => {
    const withSound = item('talk', 'video', 1, {
      parts: [...clip.parts, { mimeType: 'audio/mpeg' }],
      estimatedTokens: 8 * 1120 + 320,
    });
    const partsFor = (prompt: string) => choose(prompt, { archived: [withSound] })[0];
    expect(partsFor('What happens in talk?')).toMatchObject({ estimatedTokens: 8 * 280 });
    expect(partsFor('What happens in talk?')?.parts).toHaveLength(8);
    expect(partsFor('What do they say in talk?')).toMatchObject({ estimatedTokens: 8 * 280 + 320 });
    expect(partsFor('What do they say in talk?')?.parts).toContain(8);
  });

  it('chooses fewer frames, spread evenly, for a small budget, and none for a tiny one', () => {
    expect(choose('the first clip', { maxTokens: 4 * 280 })[0]?.parts).toEqual([1, 3, 5, 7]);
    expect(choose('the first clip', { maxTokens: 279 })).toEqual([]);
  });

  it('never chooses an attachment twice, nor exceeds the budget', () => {
    const some = fc.subarray(archived).map((media) => turnWith(...media));
    const prompts = fc.constantFrom(
      'the clips',
      'first picture',
      'hm',
      'lease and sketch',
      'sound of melody',
      '',
    );
    fc.assert(
      fc.property(
        prompts,
        fc.array(some),
        fc.array(some),
        fc.nat(9000),
        (prompt, recent, found, maxTokens) => {
          const shown = choose(prompt, {
            recent,
            recalled: found.map((turn) => ({ turn, score: 1 })),
            maxTokens,
          });
          expect(new Set(shown.map(({ media }) => media.id)).size).toBe(shown.length);
          expect(shown.reduce((sum, { estimatedTokens }) => sum + estimatedTokens, 0)).toBeLessThanOrEqual(
            maxTokens,
          );
          for (const { media, parts } of shown) {
            expect(parts.length).toBeGreaterThan(0);
            for (const index of parts) expect(media.parts[index]).toBeDefined();
          }
        },
      ),
    );
  });
});
