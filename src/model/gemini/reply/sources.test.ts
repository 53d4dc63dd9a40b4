import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AnswerPiece, SourceCollector } from './sources.js';

const bytesBefore = (text: string, end: number) => Buffer.byteLength(text.slice(0, end));
const web = (title: string) => ({ web: { uri: `https://${title}`, title } });

/** The sources of an answer of one part. */
function read(candidate: Record<string, unknown>, text = '', pieces: AnswerPiece[] = [{ start: 0, text }]) {
  const collector = new SourceCollector();
  collector.push(candidate);
  return collector.read(text, pieces);
}

describe('SourceCollector', () => {
  it.each([
    [
      'a page',
      { web: { uri: 'https://a', title: 'A', domain: 'a' } },
      { kind: 'web', url: 'https://a', title: 'A', providerMetadata: { google: { domain: 'a' } } },
    ],
    [
      'a place',
      { maps: { uri: 'https://m', title: 'Café', placeId: 'p', text: 'long' } },
      { kind: 'map', url: 'https://m', title: 'Café', providerMetadata: { google: { placeId: 'p' } } },
    ],
    [
      'a stored file',
      { retrievedContext: { title: 'a.pdf', text: 'passage', pageNumber: 3, fileSearchStore: 'f' } },
      {
        kind: 'file',
        title: 'a.pdf',
        providerMetadata: { google: { pageNumber: 3, fileSearchStore: 'f' } },
      },
    ],
    [
      'a picture',
      { image: { sourceUri: 'https://page', imageUri: 'https://i', title: 'I' } },
      { kind: 'media', url: 'https://page', title: 'I' },
    ],
  ])('reads %s', (_, chunk, expected) => {
    const [source] = read({ groundingMetadata: { groundingChunks: [chunk] } });
    expect(source).toMatchObject({ type: 'source', ...expected });
    expect(JSON.stringify(source)).not.toMatch(/passage|long/);
  });

  it('reads citations with their license, in both forms that Google has', () => {
    const citation = { startIndex: 2, endIndex: 4, uri: 'https://a', license: 'mit' };
    for (const name of ['citationSources', 'citations'])
      expect(read({ citationMetadata: { [name]: [citation] } }, 'a quote')).toEqual([
        { type: 'source', kind: 'web', url: 'https://a', license: 'mit', spans: [{ start: 2, end: 4 }] },
      ]);
  });

  it('lists the pages that could be read', () => {
    const urlMetadata = [
      { retrievedUrl: 'https://a', urlRetrievalStatus: 'URL_RETRIEVAL_STATUS_SUCCESS' },
      { retrievedUrl: 'https://b', urlRetrievalStatus: 'URL_RETRIEVAL_STATUS_ERROR' },
    ];
    expect(read({ urlContextMetadata: { urlMetadata } })).toMatchObject([{ kind: 'web', url: 'https://a' }]);
  });

  it('turns byte offsets into offsets of the text, wherever they are', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), (answer, a, b) => {
        const points = Array.from(answer);
        const [from = 0, to = 0] = [a % points.length, b % (points.length + 1)].sort((x, y) => x - y);
        fc.pre(from < to);
        const start = points.slice(0, from).join('').length;
        const end = points.slice(0, to).join('').length;
        const segment = { startIndex: bytesBefore(answer, start), endIndex: bytesBefore(answer, end) };
        const groundingSupports = [{ segment, groundingChunkIndices: [0] }];
        const [source] = read(
          { groundingMetadata: { groundingChunks: [web('a')], groundingSupports } },
          answer,
        );
        expect(source?.spans).toEqual([{ start, end }]);
      }),
    );
  });

  const pieces = [
    { start: 0, text: 'Größe. ' },
    { start: 7, text: 'Zwölf Boote.' },
  ];
  const whole = 'Größe. Zwölf Boote.';
  const spansOf = (segment: object) =>
    read(
      {
        groundingMetadata: {
          groundingChunks: [web('a')],
          groundingSupports: [{ segment, groundingChunkIndices: [0] }],
        },
      },
      whole,
      pieces,
    )[0]?.spans?.map(({ end, start }) => whole.slice(start, end));

  it.each([
    ['from its part', { partIndex: 1, startIndex: 0, endIndex: 6 }, ['Zwölf']],
    ['from its part, checked', { partIndex: 1, startIndex: 0, endIndex: 6, text: 'Zwölf' }, ['Zwölf']],
    ['from the start of the answer', { startIndex: 9, endIndex: 15, text: 'Zwölf' }, ['Zwölf']],
    ['wrongly, beside the right words', { startIndex: 1, endIndex: 3, text: 'Boote.' }, ['Boote.']],
    ['beyond the text', { startIndex: 3, endIndex: 300 }, undefined],
    ['and other words', { startIndex: 0, endIndex: 3, text: 'nowhere' }, undefined],
    ['backwards', { startIndex: 5, endIndex: 2 }, undefined],
    ['as text', { startIndex: '0', endIndex: '3' }, undefined],
  ])('places a segment whose offsets count %s', (_, segment, expected) => {
    expect(spansOf(segment)).toEqual(expected);
  });

  it('lists a source once that several chunks and supports name, with all its spans', () => {
    const collector = new SourceCollector();
    const support = (startIndex: number, endIndex: number) => ({
      segment: { startIndex, endIndex },
      groundingChunkIndices: [0, 7],
    });
    const groundingChunks = [web('a'), web('b')];
    collector.push({ groundingMetadata: { groundingChunks, groundingSupports: [support(0, 1)] } });
    collector.push({ groundingMetadata: { groundingSupports: [support(0, 1), support(2, 3)] } });
    collector.push({ groundingMetadata: { groundingChunks } });
    expect(collector.read('a b', [{ start: 0, text: 'a b' }])).toEqual([
      expect.objectContaining({
        title: 'a',
        spans: [
          { start: 0, end: 1 },
          { start: 2, end: 3 },
        ],
      }),
      expect.not.objectContaining({ spans: expect.anything() }),
    ]);
  });

  it('reads nothing from metadata of any other shape', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        for (const name of ['groundingMetadata', 'citationMetadata', 'urlContextMetadata'])
          expect(() => read({ [name]: value }, 'text')).not.toThrow();
        const groundingMetadata = {
          groundingChunks: [value],
          groundingSupports: [{ segment: value }, value],
        };
        expect(() => read({ groundingMetadata }, 'text')).not.toThrow();
      }),
    );
  });
});
