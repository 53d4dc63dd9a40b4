import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

type Inline = string | { type: string; text?: string; href?: string; content?: readonly Inline[] };
type Block = {
  type: string;
  text?: string;
  language?: string;
  start?: number;
  content?: readonly Inline[];
  items?: readonly (readonly Block[])[];
  rows?: readonly (readonly (readonly Inline[])[])[];
};
interface MarkdownScript {
  parseMarkdown(text: string): readonly Block[];
  parseInline(text: string): readonly Inline[];
}
interface EventStreamScript {
  createEventParser(onEvent: (event: { event: string; data: string }) => void): (piece: string) => void;
}

interface PiecesScript {
  readEnding(info: Readonly<Record<string, unknown>>): string | undefined;
  readStoredPieces(messages: readonly unknown[]): Readonly<Record<string, unknown>>;
}

/** The page's scripts are plain JavaScript for browsers; these three use no document. */
const load = (name: string) =>
  import(new URL(`../../examples/express-server/page/${name}`, import.meta.url).href);
const { parseMarkdown, parseInline } = (await load('markdown.js')) as MarkdownScript;
const { readEnding, readStoredPieces } = (await load('pieces.js')) as PiecesScript;
const { createEventParser } = (await load('event-stream.js')) as EventStreamScript;

const paragraph = (...content: Inline[]): Block => ({ type: 'paragraph', content });

describe('Markdown of an answer', () => {
  it.each<[string, string, readonly Block[]]>([
    ['paragraphs', 'One\n\nTwo', [paragraph('One'), paragraph('Two')]],
    ['a line break', 'One\nTwo', [paragraph('One', { type: 'break' }, 'Two')]],
    ['a heading', '## Title ##', [{ type: 'heading', level: 2, content: ['Title'] } as Block]],
    ['a rule', '---', [{ type: 'rule' }]],
    [
      'code',
      '```js\nlet a;\n\n<b>\n```\nEnd',
      [{ type: 'code', language: 'js', text: 'let a;\n\n<b>' }, paragraph('End')],
    ],
    ['code that is still coming', '```\nlet a', [{ type: 'code', language: '', text: 'let a' }]],
    [
      'a quote',
      '> Said\n> so',
      [{ type: 'quote', blocks: [paragraph('Said', { type: 'break' }, 'so')] } as Block],
    ],
    [
      'a list in a list',
      '- One\n  - Deep\n- Two',
      [
        {
          type: 'list',
          ordered: false,
          start: 1,
          items: [
            [
              paragraph('One'),
              { type: 'list', ordered: false, start: 1, items: [[paragraph('Deep')]] } as Block,
            ],
            [paragraph('Two')],
          ],
        } as Block,
      ],
    ],
    [
      'a numbered list with blank lines',
      '3. One\n\n4. Two',
      [{ type: 'list', ordered: true, start: 3, items: [[paragraph('One')], [paragraph('Two')]] } as Block],
    ],
    [
      'a table',
      '| A | B |\n|---|---|\n| 1 | **2** |',
      [
        {
          type: 'table',
          head: [['A'], ['B']],
          rows: [[['1'], [{ type: 'strong', content: ['2'] }]]],
        } as Block,
      ],
    ],
  ])('has %s', (_, text, blocks) => {
    expect(parseMarkdown(text)).toEqual(blocks);
  });

  it.each<[string, readonly Inline[]]>([
    [
      '**bold** and *italic*',
      [{ type: 'strong', content: ['bold'] }, ' and ', { type: 'em', content: ['italic'] }],
    ],
    ['`a * b * c`', [{ type: 'code', text: 'a * b * c' }]],
    ['snake_case_name', ['snake_case_name']],
    ['2 * 3 * 4', ['2 * 3 * 4']],
    ['\\*not italic\\*', ['*not italic*']],
    ['~~gone~~', [{ type: 'struck', content: ['gone'] }]],
    ['[site](https://a.example/x)', [{ type: 'link', href: 'https://a.example/x', content: ['site'] }]],
    [
      'see https://a.example.',
      ['see ', { type: 'link', href: 'https://a.example/', content: ['https://a.example'] }, '.'],
    ],
    [
      'said “https://a.example/x”',
      ['said “', { type: 'link', href: 'https://a.example/x', content: ['https://a.example/x'] }, '”'],
    ],
    ['**open', ['**open']],
  ])('reads %s', (text, nodes) => {
    expect(parseInline(text)).toEqual(nodes);
  });

  it.each([
    'javascript:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    '//a.example',
    'JaVaScRiPt:alert(1)',
  ])('makes no link to %s', (target) => {
    expect(parseInline(`[click](${target})`)).toEqual([`[click](${target})`]);
  });

  const textOf = (node: unknown): string =>
    typeof node === 'string'
      ? node
      : Array.isArray(node)
        ? node.map(textOf).join('')
        : Object.entries(node as object)
            .filter(([name]) => ['text', 'content', 'blocks', 'items', 'head', 'rows'].includes(name))
            .map(([, value]) => textOf(value))
            .join('');

  it('loses no word of any text and never fails', () => {
    const marks = fc.constantFrom(
      '\n',
      '\n\n',
      ' ',
      '* ',
      '- ',
      '1. ',
      '> ',
      '**',
      '_',
      '`',
      '```\n',
      '|',
      '#',
      '    ',
    );
    const words = fc.stringMatching(/^[a-z]{1,8}$/);
    fc.assert(
      fc.property(fc.array(fc.oneof(marks, words), { maxLength: 60 }), (pieces) => {
        const shown = textOf(parseMarkdown(pieces.join('')));
        // The word behind a fence names the language of the code.
        for (const [index, word] of pieces.entries()) {
          if (/^[a-z]+$/.test(word) && !pieces.slice(0, index).includes('```\n'))
            expect(shown).toContain(word);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('stays quick on hostile text', () => {
    for (const mark of ['> ', '* ', '**', '`', '[', '_a', '- - ']) {
      expect(parseMarkdown(mark.repeat(5000))).toBeInstanceOf(Array);
    }
  }, 10_000);
});

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
