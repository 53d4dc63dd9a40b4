import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { event, events, pieces, type RawReply, textChunk } from '../support/raw-replies.js';
import { mainModel, openWireChat } from '../support/wire-chat.js';

const json = { 'content-type': 'application/json' };
const html = { 'content-type': 'text/html' };
const one = textChunk('One ');
const two = textChunk('two.', 'STOP');
const whole = textChunk('One two.', 'STOP');
const chunk = (parts: unknown, finishReason?: unknown, more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts }, finishReason, ...more }],
});
const encoded = (encoding: string, body: Uint8Array): RawReply => ({
  ...pieces(body),
  headers: { 'content-type': 'text/event-stream', 'content-encoding': encoding },
});
const replyOf = (status: number, body: unknown, headers: Readonly<Record<string, string>> = json) => ({
  ...pieces(typeof body === 'string' ? body : JSON.stringify(body)),
  headers,
  status,
});
/** An event whose lines end like this. */
const framed = (value: unknown, lineEnd: string) => event(value).replaceAll('\r\n', lineEnd);
/** The bytes, cut within the emoji. */
function cutWithinEmoji(): RawReply {
  const bytes = Buffer.from(event(textChunk('One 🎉 two.', 'STOP')));
  const at = bytes.indexOf(Buffer.from('🎉')) + 2;
  return pieces(bytes.subarray(0, at), bytes.subarray(at));
}

describe.each<readonly [string, RawReply] | readonly [string, RawReply, string]>([
  ['LF alone', pieces(framed(one, '\n'), framed(two, '\n'))],
  ['CR alone', pieces(framed(one, '\r'), framed(two, '\r'))],
  ['several line ends', pieces(`data: ${JSON.stringify(one)}\n\r\n`, `data: ${JSON.stringify(two)}\r\r\n`)],
  ['CRLF cut in its middle', pieces(event(one).slice(0, -3), '\r', '\n', framed(two, '\n'))],
  ['no empty line between events', pieces(`data: ${JSON.stringify(one)}\ndata: ${JSON.stringify(two)}\n`)],
  ['`data:` twice', pieces(`data: data: ${JSON.stringify(whole)}\n\n`)],
  ['a byte order mark', pieces(`\u{feff}${event(whole)}`)],
  [
    'comments and pings',
    pieces(': a\n\n', event(one), 'event: ping\ndata: {"type": "ping"}\n\n', event(two)),
  ],
  ['empty data', pieces('data:\n\n', event(one), 'data: \n\ndata: null\n\ndata: {}\n\n', event(two))],
  [
    'JSON over several lines of data',
    pieces(`${JSON.stringify(whole, null, 1).replace(/^/gm, 'data: ')}\n\n`),
  ],
  ['a list as data', events([one, two])],
  ['one object', { ...pieces(JSON.stringify(whole)), headers: json }],
  [
    'a list without events',
    { ...pieces('[', JSON.stringify(one), '\n,', JSON.stringify(two), ']'), headers: json },
  ],
  ['an envelope', { ...pieces(JSON.stringify({ response: whole })), headers: json }],
  ['an envelope for each chunk', events({ response: one }, { response: two })],
  ['gzip', encoded('gzip', gzipSync(event(one) + event(two)))],
  ['brotli', encoded('br', brotliCompressSync(event(one) + event(two)))],
  ['packets that end within a character', cutWithinEmoji(), 'One 🎉 two.'],
  ['status 206', { ...events(one, two), status: 206 }],
  ['a reset within the last empty line', { ...pieces(`data: ${JSON.stringify(whole)}\n`), end: 'reset' }],
  ['a reset before the last line end', { ...pieces(`data: ${JSON.stringify(whole)}`), end: 'reset' }],
  ['`[DONE]` as JSON', pieces(event(whole), 'data: "[DONE]"\n\n')],
  ['`[DONE]` in an event of its own name', pieces(event(whole), 'event: done\ndata: [DONE]\n\n')],
  ['`[DONE]` outside of events', pieces(event(whole), '[DONE]\n')],
  ['a page after the end', pieces(event(whole), '<html>502</html>')],
  ['an accident after the end', events(whole, { candidates: [{ finishReason: 'OTHER' }] })],
  ['candidates that are null', events({ candidates: null }, { candidates: [null] }, whole)],
  ['content and parts that are null', events({ candidates: [{ content: null }] }, chunk(null), whole)],
  ['parts that are null', events(chunk([null, { text: null }, { text: 'One two.' }], 'STOP'))],
  ['no candidates', events({ usageMetadata: { promptTokenCount: 4 } }, whole)],
  ['a finish reason that is null', events(chunk([{ text: 'One ' }], null), two)],
  ['a finish reason that is empty', events(chunk([{ text: 'One ' }], ''), two)],
  [
    'a finish reason before the text',
    events({ candidates: [{ finishReason: 'STOP' }] }, textChunk('One two.')),
  ],
  ['a candidate of index 1', events(chunk([{ text: 'One two.' }], 'STOP', { index: 1 }))],
  ['an index that is a text', events(chunk([{ text: 'One ' }], undefined, { index: '0' }), two)],
  [
    'a second candidate',
    events(
      chunk([{ text: 'One ' }], undefined, { index: 0 }),
      chunk([{ text: 'Other.' }], 'STOP', { index: 1 }),
      chunk([{ text: 'two.' }], 'STOP', { index: 0 }),
    ),
  ],
  ['a part of an unknown kind', events(chunk([{ hologram: { size: 1 } }, { text: 'One two.' }], 'STOP'))],
  [
    'a part without data',
    events(chunk([{ inlineData: {} }, { inlineData: null }, { text: 'One two.' }], 'STOP')),
  ],
  ['a signature on text', events(chunk([{ text: 'One two.', thoughtSignature: 'c2ln' }], 'STOP'))],
  [
    'a signature alone',
    events(textChunk('One two.'), chunk([{ text: '', thoughtSignature: 'c2ln' }], 'STOP')),
  ],
  [
    'a placeholder for a refusal',
    events({ promptFeedback: { blockReason: 'BLOCK_REASON_UNSPECIFIED' } }, whole),
  ],
  ['a refusal that is number 0', events({ promptFeedback: { blockReason: 0 } }, whole)],
  [
    'names of the .proto files',
    events({
      candidates: [
        { content: { parts: [{ text: 'One two.', thought_signature: 'c2ln' }] }, finish_reason: 'STOP' },
      ],
      usage_metadata: { prompt_token_count: 4 },
    }),
  ],
])('a reply with %s', (_, reply, text = 'One two.') => {
  it('is read whole, in one call', async () => {
    await using wire = await openWireChat(() => reply);
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text, restarts: 0, error: undefined });
    expect(seen.reply).toMatchObject({ text, finishReason: 'stop' });
    expect(seen.models).toEqual([mainModel]);
  });
});

describe.each([
  ['STOP', 'stop'],
  ['stop', 'stop'],
  ['FINISH_REASON_STOP', 'stop'],
  ['end_turn', 'stop'],
  [1, 'stop'],
  ['MAX_TOKENS', 'max-tokens'],
  ['max_tokens', 'max-tokens'],
  ['length', 'max-tokens'],
  [2, 'max-tokens'],
  ['BRAND_NEW', 'unknown'],
  [77, 'unknown'],
  ['safety', 'BLOCKED'],
  ['content_filter', 'BLOCKED'],
  [3, 'BLOCKED'],
  ['Recitation', 'BLOCKED'],
])('the finish reason %j', (finishReason, end) => {
  it(`means ${end}, in one call, and the text is kept`, async () => {
    await using wire = await openWireChat(() => events(chunk([{ text: 'One two.' }], finishReason)));
    const { error, models, reply, text } = await wire.ask();
    expect(text).toBe('One two.');
    if (end === 'BLOCKED') expect(error).toMatchObject({ code: 'BLOCKED', partial: 'One two.' });
    else expect(reply).toMatchObject({ finishReason: end, rawFinishReason: String(finishReason) });
    expect(models).toHaveLength(1);
  });
});

describe('counts of tokens', () => {
  it.each([
    ['in the first chunk alone', events({ ...one, usageMetadata: { promptTokenCount: 4 } }, two)],
    ['as texts', events({ ...whole, usageMetadata: { promptTokenCount: '4' } })],
    ['in a chunk of their own', events(whole, { usageMetadata: { promptTokenCount: 4 } })],
  ])('are read %s', async (_, reply) => {
    await using wire = await openWireChat(() => reply);
    expect((await wire.ask()).reply?.usage).toEqual({ inputTokens: 4 });
  });

  it.each([
    ['null', null],
    ['negative', { promptTokenCount: -1 }],
    ['words', { promptTokenCount: 'many' }],
  ])('are absent if they are %s', async (_, usageMetadata) => {
    await using wire = await openWireChat(() => events({ ...whole, usageMetadata }));
    expect((await wire.ask()).reply).toMatchObject({ text: 'One two.', usage: undefined });
  });
});

const page = '<html><head><title>No such thing</title></head></html>';
const googleError = (code: number, status: string, details: readonly object[] = []) => ({
  error: { code, status, message: 'It is so.', details },
});

describe.each<readonly [string, RawReply, object, number]>([
  ['a page with status 200', replyOf(200, page, html), { reason: 'NOT_GEMINI' }, 1],
  ['a redirect', { ...pieces(), status: 302, headers: { location: '/login' } }, { reason: 'NOT_GEMINI' }, 1],
  ['status 304', { ...pieces(), status: 304 }, { reason: 'NOT_GEMINI' }, 1],
  ['half of a 400', { ...replyOf(400, '{"error":{"co'), end: 'reset' }, { kind: 'invalid-request' }, 1],
  ['a 403 without its body', { ...replyOf(403, ''), end: 'reset' }, { kind: 'permission' }, 1],
  [
    'a 400 in gzip',
    { ...encoded('gzip', gzipSync(JSON.stringify(googleError(400, 'INVALID_ARGUMENT')))), status: 400 },
    { message: expect.stringContaining('It is so') },
    1,
  ],
  [
    '413 of a proxy',
    replyOf(413, page, html),
    { kind: 'too-large', message: expect.stringContaining('No such thing') },
    1,
  ],
  ['431', replyOf(431, ''), { kind: 'invalid-request' }, 1],
  [
    'words in a field of OAuth',
    replyOf(400, { error_description: 'Such a grant.' }),
    { message: expect.stringContaining('Such a grant') },
    1,
  ],
  ['501', replyOf(501, googleError(501, 'UNIMPLEMENTED')), { kind: 'invalid-request' }, 1],
  ['505', replyOf(505, ''), { kind: 'invalid-request' }, 1],
  ['511', replyOf(511, page, html), { kind: 'invalid-request' }, 1],
  ['a refusal within the answer', events(one, { candidates: [{ finishReason: 'SAFETY' }] }), {}, 1],
  ['a refusal by a number', events({ promptFeedback: { blockReason: 1 } }), {}, 1],
  [
    'an answer of only an unknown part',
    events(chunk([{ hologram: {} }], 'STOP')),
    { reason: 'EMPTY_ANSWER' },
    2,
  ],
  [
    'an answer of only an empty picture',
    events(chunk([{ inlineData: {} }], 'STOP')),
    { reason: 'EMPTY_ANSWER' },
    2,
  ],
  [
    'tokens spent before the first word',
    events({ candidates: [{ finishReason: 'length' }] }),
    { reason: 'MAX_TOKENS' },
    1,
  ],
  ['499', replyOf(499, googleError(499, 'CANCELLED')), { kind: 'incomplete' }, 2],
  [
    'a chunk of another service',
    pieces('data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', 'data: [DONE]\n\n'),
    { reason: 'EMPTY_REPLY', message: expect.stringContaining('choices') },
    2,
  ],
])('%s', (_, reply, failure, calls) => {
  it(`is told after ${calls} calls`, async () => {
    await using wire = await openWireChat(() => reply);
    const { error, models } = await wire.ask();
    expect(models).toHaveLength(calls);
    expect(error).toBeDefined();
    const isBlocked = (error as { code?: string }).code === 'BLOCKED';
    if (!isBlocked) expect(error).toMatchObject({ failure });
    expect(isBlocked).toBe(Object.keys(failure).length === 0);
  });
});

describe('how long a service asks to wait', () => {
  const inTen = () => new Date(Date.now() + 600_000).toUTCString();
  const retryInfo = (delay: unknown, name = 'retryDelay') => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', [name]: delay }];
    return replyOf(503, googleError(503, 'UNAVAILABLE', details));
  };

  it.each<readonly [string, () => RawReply, number]>([
    ['seconds in a header', () => replyOf(503, '', { 'retry-after': '600' }), 600_000],
    ['part of a second in a header', () => replyOf(503, '', { 'retry-after': '599.5' }), 599_500],
    ['a date in a header', () => replyOf(503, '', { 'retry-after': inTen() }), 600_000],
    ['part of a second in the body', () => retryInfo('599.25s'), 599_250],
    ['seconds and nanoseconds in the body', () => retryInfo({ seconds: 599, nanos: 250_000_000 }), 599_250],
    ['a name of the .proto files', () => retryInfo('600s', 'retry_delay'), 600_000],
    [
      '529 with a header',
      () => replyOf(529, { error: { type: 'overloaded_error', message: 'x' } }, { 'retry-after': '600' }),
      600_000,
    ],
  ])('is read from %s, and too long a wait leads to the fallback at once', async (_, reply, expected) => {
    await using wire = await openWireChat(reply);
    const { error, models } = await wire.ask();
    expect(models).toHaveLength(2);
    const { retryAfterMs } = (error as { failure: { retryAfterMs: number } }).failure;
    expect(Math.abs(retryAfterMs - expected)).toBeLessThan(60_000);
  });

  it('is not read from what is no time', async () => {
    await using wire = await openWireChat((call) =>
      call === 1 ? replyOf(503, '', { 'retry-after': '-5' }) : events(whole),
    );
    expect((await wire.ask()).reply?.attempts[0]?.failure).not.toHaveProperty('retryAfterMs');
  });
});
