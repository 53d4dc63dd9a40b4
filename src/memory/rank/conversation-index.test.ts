import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConversationIndex } from './conversation-index.js';
import { packVector } from './vector-table.js';

const indexOf = (texts: readonly string[], dimensions?: number) => {
  const index = new ConversationIndex({ dimensions });
  for (const [at, text] of texts.entries()) index.add(at, text);
  return index;
};
const order = (index: ConversationIndex, query: string, limit = 10, options = {}) =>
  index.search(query, limit, options).map(({ sequence }) => sequence);

const filler = ['The sun rose.', 'Lunch was fine.', 'They talked for hours.', 'It got dark.'];

describe('ConversationIndex', () => {
  it.each([
    ['English', 'She painted the kitchen', 'Who was painting kitchens?'],
    ['German', 'Wir haben die Häuser gestrichen', 'Was ist mit dem Haus?'],
    ['French', 'Nous avons mangé des pommes', 'Qui est-ce qui mange une pomme ?'],
    ['Spanish', 'Compramos libros para los niños', '¿Qué libro es para el niño?'],
    ['Russian', 'Мы купили новые книги', 'Какую книгу мы купили?'],
  ])('finds other forms of a word in %s', (_, text, query) => {
    const texts = [...filler, text, ...filler];
    expect(order(indexOf(texts), query, 1)).toEqual([filler.length]);
  });

  it('ignores the words that every question has', () => {
    const texts = [
      'What did you do when you were there? And what was it that you did?',
      ...filler,
      'A yacht.',
    ];
    expect(order(indexOf(texts), 'What did you do when the yacht was there?', 1)).toEqual([texts.length - 1]);
  });

  it('finds the answer beside the turn that has the words of the question', () => {
    const texts = [
      ...filler,
      'Which film did you watch in the cinema?',
      'Casablanca, and I cried.',
      ...filler,
    ];
    const found = order(indexOf(texts), 'Which film was watched in the cinema?', 2);
    expect(found.sort()).toEqual([filler.length, filler.length + 1]);
  });

  it('prefers the speaker who is named', () => {
    const index = indexOf(['Ann: I like tea.', ...filler, 'Bob: I like tea.']);
    expect(order(index, 'What does Ann like to drink, tea?', 1)).toEqual([0]);
    expect(order(index, 'What does Bob like to drink, tea?', 1)).toEqual([filler.length + 1]);
    expect(order(index, 'Is tea Ann’s drink?', 1)).toEqual([0]);
  });

  it('finds a turn by meaning that shares no word with the query', () => {
    const index = indexOf(filler, 2);
    for (const [at, vector] of [
      [1, 0],
      [0.6, 0.8],
      [0, 1],
      [-1, 0],
    ].entries()) {
      index.setVector(at, packVector(Float32Array.from(vector)));
    }
    expect(order(index, 'xylophone', 2, { vector: Float32Array.of(0, 1) })).toEqual([2, 1]);
  });

  it('does not hide a turn that has no vector yet', () => {
    const index = indexOf(['apples', 'pears', 'a zeppelin'], 2);
    index.setVector(0, packVector(Float32Array.of(0, 1)));
    index.setVector(1, packVector(Float32Array.of(1, 0)));
    expect(order(index, 'zeppelin', 1, { vector: Float32Array.of(0, 1) })).toEqual([2]);
  });

  it('finds no turn if none bears on the query', () => {
    expect(order(indexOf(filler), 'xylophone')).toEqual([]);
    expect(order(indexOf([]), 'anything')).toEqual([]);
  });

  it('gives scores within 0 and 1, best first, up to the limit, for any turns', () => {
    const word = fc.constantFrom('tea', 'teas', 'the', 'Ann:', 'café', '狐狸', '🙂', 'what');
    const text = fc.array(word, { maxLength: 6 }).map((words) => words.join(' '));
    const vector = fc.option(fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.constant(1)));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, vector), { maxLength: 12 }),
        text,
        fc.nat(6),
        (turns, query, limit) => {
          const index = indexOf(
            turns.map(([each]) => each),
            2,
          );
          for (const [at, [, each]] of turns.entries()) {
            if (each) index.setVector(at, packVector(Float32Array.from(each)));
          }
          const found = index.search(query, limit, { vector: Float32Array.of(0.6, 0.8) });
          expect(found.length).toBeLessThanOrEqual(limit);
          expect(new Set(found.map(({ sequence }) => sequence)).size).toBe(found.length);
          for (const [at, { score }] of found.entries()) {
            expect(score).toBeGreaterThan(0);
            expect(score).toBeLessThanOrEqual(found[at - 1]?.score ?? 1);
          }
        },
      ),
    );
  });
});
