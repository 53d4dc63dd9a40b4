import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface EventStreamScript {
  createEventParser(onEvent: (event: { event: string; data: string }) => void): (piece: string) => void;
}

interface PiecesScript {
  readEnding(info: Readonly<Record<string, unknown>>): string | undefined;
  readStoredPieces(messages: readonly unknown[]): Readonly<Record<string, unknown>>;
}

/** The page's scripts are plain JavaScript for browsers; these two use no document. */
const load = (name: string) =>
  import(new URL(`../../examples/express-server/page/${name}`, import.meta.url).href);
const { readEnding, readStoredPieces } = (await load('pieces.js')) as PiecesScript;
const { createEventParser } = (await load('event-stream.js')) as EventStreamScript;

describe('the end of an answer', () => {
  const cut = 'The answer was cut off at the limit of output tokens.';
  it.each<[Readonly<Record<string, unknown>>, string | undefined]>([
    [{ finish_reason: 'stop', raw_finish_reason: 'STOP' }, undefined],
    [{ finish_reason: 'stop', raw_finish_reason: 'whatever_it_says' }, undefined],
    [{ finish_reason: 'stop', safety_ratings: [{ category: 'A', probability: 'HIGH' }] }, undefined],
    [{ finish_reason: 'max-tokens' }, cut],
    [{ finish_reason: 'unknown' }, 'The answer ended for an unusual reason.'],
    [
      { finish_reason: 'unknown', raw_finish_reason: 'OTHER', finish_message: 'No idea.' },
      'The answer ended for an unusual reason (OTHER). No idea.',
    ],
    [{ finish_reason: 'stop', finish_message: 'A hint.' }, 'A hint.'],
    // Of a stored turn.
    [{}, undefined],
    [{ raw_finish_reason: 'STOP' }, undefined],
    [{ raw_finish_reason: 'end_turn' }, undefined],
    [{ raw_finish_reason: 'MAX_TOKENS' }, cut],
    [{ raw_finish_reason: 'length' }, cut],
    [{ raw_finish_reason: 'LANGUAGE' }, 'The answer ended for an unusual reason (LANGUAGE).'],
  ])('%j', (info, sentence) => {
    expect(readEnding(info)).toBe(sentence);
  });
});

describe('a stored turn', () => {
  it('has the results with their calls and code, and ignores types that the page does not know', () => {
    const parts = [
      { type: 'code', language: 'python', code: 'a' },
      { type: 'code', code: 'b' },
      { type: 'code-result', outcome: 'ok', output: '1' },
      { type: 'code-result', outcome: 'ok', output: 'of nothing' },
      { type: 'tool-result', call_id: 'nobody', output: 1 },
      { type: 'tool-call', call_id: 'x', name: 'find', input: {} },
      { type: 'later-than-this-page' },
    ];
    const messages = [
      { role: 'assistant', parts },
      { role: 'tool', parts: [{ type: 'tool-result', call_id: 'x', output: 7 }] },
    ];
    expect(readStoredPieces(messages)).toMatchObject({
      code: [
        { code: 'a', result: undefined },
        { code: 'b', result: { outcome: 'ok', output: '1' } },
      ],
      tools: [{ name: 'find', result: { output: 7 } }],
      files: [],
      sources: [],
      searches: [],
      ending: undefined,
    });
  });
});

describe('the event stream', () => {
  const stream =
    ': heartbeat\r\n\r\nevent: text\r\ndata: {"text":"é"}\r\n\r\nevent: done\ndata: one\ndata: two\n\ndata: tail\n\n';
  const events = [
    { event: 'text', data: '{"text":"é"}' },
    { event: 'done', data: 'one\ntwo' },
    { event: 'message', data: 'tail' },
  ];

  it('is parsed the same from chunks of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length })), (cuts) => {
        const read: unknown[] = [];
        const parse = createEventParser((event) => read.push(event));
        const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
        for (let i = 1; i < edges.length; i += 1) parse(stream.slice(edges[i - 1], edges[i]));
        expect(read).toEqual(events);
      }),
    );
  });
});
