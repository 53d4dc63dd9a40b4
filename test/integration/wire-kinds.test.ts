import { randomBytes } from 'node:crypto';
import { KeyPoolExhaustedError, ModelCallError } from 'multimodal-chat';
import { InMemoryStore } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  event,
  events,
  pieces,
  type RawReply,
  type ReceivedRequest,
  textChunk,
} from '../support/raw-replies.js';
import { fallbackModel, mainModel, openWireChat, type Seen } from '../support/wire-chat.js';

const json = { 'content-type': 'application/json' };
const refusal = (status: number, body: unknown): RawReply => ({
  ...pieces(JSON.stringify(body)),
  headers: json,
  status,
});
const googleError = (code: number, status: string, message: string, details: readonly object[] = []) =>
  refusal(code, { error: { code, status, message, details } });
const answer = (parts: readonly object[], candidate: object = {}, more: object = {}) =>
  events({
    candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP', ...candidate }],
    ...more,
  });
const fine = events(textChunk('Fine.', 'STOP'));
const overloaded = googleError(503, 'UNAVAILABLE', 'The model is overloaded.');
const remembering = () => ({ memory: new InMemoryStore(), mediaArchive: false }) as const;
const bytesOf = ({ body }: ReceivedRequest) => Buffer.byteLength(JSON.stringify(body));
const holds = ({ body }: ReceivedRequest, text: string) => JSON.stringify(body).includes(text);
const callsOf = (turns: readonly Seen[]) => turns.map(({ models }) => models.length);

describe('A: what goes back of earlier answers', () => {
  const signed = answer([{ text: 'Noted.', thoughtSignature: 'c2lnbmF0dXJl' }]);

  it.each(['Corrupted thought signature.', 'Invalid thought signature'])(
    'is plain text once it was refused: %s',
    async (sentence) => {
      await using wire = await openWireChat(
        (_call, _model, request) =>
          holds(request, 'thoughtSignature') ? googleError(400, 'INVALID_ARGUMENT', sentence) : signed,
        remembering(),
      );
      const turns: Seen[] = [];
      for (let turn = 1; turn <= 6; turn += 1) turns.push(await wire.ask(`Question ${turn}.`));
      expect(turns.map(({ text }) => text)).toEqual(Array(6).fill('Noted.'));
      expect(callsOf(turns)).toEqual([1, 2, 2, 1, 1, 1]);
      expect(holds(turns[5]?.requests[0] as ReceivedRequest, 'Question 5.')).toBe(true);
    },
  );

  it('is no function call that nobody answered', async () => {
    await using wire = await openWireChat((call, _model, request) => {
      if (holds(request, 'functionCall'))
        return googleError(400, 'INVALID_ARGUMENT', 'Please ensure that function call turn comes first.');
      return call === 1 ? answer([{ text: 'I look.' }, { functionCall: { name: 'find', args: {} } }]) : fine;
    }, remembering());
    expect(callsOf([await wire.ask('One'), await wire.ask('Two'), await wire.ask('Three')])).toEqual([
      1, 1, 1,
    ]);
  });

  it('is no picture beyond the budget of media', async () => {
    const raw = { width: 900, height: 800, channels: 3 } as const;
    const picture = await sharp(randomBytes(900 * 800 * 3), { raw })
      .png()
      .toBuffer();
    expect(picture.length).toBeGreaterThan(2_000_000);
    const drawn = answer([
      { text: 'A picture.' },
      { inlineData: { mimeType: 'image/png', data: picture.toString('base64') } },
    ]);
    await using wire = await openWireChat(() => drawn, {
      memory: ':memory:',
      context: { mediaBytes: 1_000_000 },
    });
    const turns: Seen[] = [];
    for (let turn = 1; turn <= 8; turn += 1) turns.push(await wire.ask('Draw it again.'));
    expect(callsOf(turns)).toEqual(Array(8).fill(1));
    const most = Math.max(...turns.flatMap(({ requests }) => requests.map(bytesOf)));
    // The budget in base64, and the text.
    expect(most).toBeLessThan((1_000_000 * 4) / 3 + 20_000);
  });

  it('is no thought', async () => {
    const thought = { text: 'x'.repeat(12_000), thought: true };
    const options = { ...remembering(), context: { recentTokens: 2_000 } };
    await using wire = await openWireChat(() => answer([thought, { text: 'Fine.' }]), options);
    const turns: Seen[] = [];
    for (let turn = 1; turn <= 10; turn += 1) turns.push(await wire.ask(`Question ${turn}.`));
    expect(callsOf(turns)).toEqual(Array(10).fill(1));
    expect(bytesOf(turns[9]?.requests[0] as ReceivedRequest)).toBeLessThan(4_000);
    expect(turns[9]?.reply?.recentTurns).toBe(9);
  });
});

describe('B: the end of an answer', () => {
  it.each<readonly [string, RawReply]>([
    ['an end mark', pieces(event(textChunk('Fine.', 'STOP')), 'data: [DONE]\n\n')],
    [
      'an end mark and an open connection',
      { ...pieces(event(textChunk('Fine.', 'STOP')), 'data: [DONE]\n\n'), end: 'open' },
    ],
    ['an open connection', { ...fine, end: 'open' }],
    ['a reset', { ...fine, end: 'reset' }],
    ['rubbish', pieces(event(textChunk('Fine.', 'STOP')), 'rubbish {"candidates": [{')],
    [
      'a placeholder before it',
      events(textChunk('Fi', 'FINISH_REASON_UNSPECIFIED'), textChunk('ne.', 'STOP')),
    ],
  ])('is its finish reason, whatever follows: %s', async (_, reply) => {
    await using wire = await openWireChat(() => reply);
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text: 'Fine.', restarts: 0, reply: { finishReason: 'stop' } });
    expect(seen.models).toHaveLength(1);
  });
});

describe('C: silence', () => {
  const silent: RawReply = { ...pieces(': waiting\n\n'), end: 'open' };

  it('before the first token is not waited for again by the same model, and the error names the option', async () => {
    const timeouts = { firstTokenMs: 100 };
    await using wire = await openWireChat(() => silent, { timeouts });
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, fallbackModel]);
    expect(seen.error).toMatchObject({
      code: 'MODEL_TIMEOUT',
      message: expect.stringContaining('timeouts.firstTokenMs'),
    });
    await using alone = await openWireChat(() => silent, { timeouts, fallbackModels: [] });
    expect((await alone.ask()).models).toEqual([mainModel]);
  });
});

describe('D: an answer without text', () => {
  it.each<readonly [string, object, string, object]>([
    [
      'a picture',
      { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } },
      'file',
      { files: [{ mimeType: 'image/png' }] },
    ],
    [
      'a call',
      { functionCall: { name: 'find', args: { id: 7 } } },
      'tool-call',
      { toolCalls: [{ name: 'find', input: { id: 7 } }] },
    ],
    ['code', { executableCode: { language: 'PYTHON', code: '1+1' } }, 'code', { code: [{ code: '1+1' }] }],
  ])('is whole if it is %s: shown, and in the reply', async (_, part, type, reply) => {
    await using wire = await openWireChat(() => answer([part]));
    const seen = await wire.ask();
    expect(seen.models).toHaveLength(1);
    expect(seen.events.map((each) => each.type)).toContain(type);
    expect(seen.reply).toMatchObject({ text: '', finishReason: 'stop', ...reply });
  });

  it('keeps what else is said of an answer', async () => {
    const candidate = {
      finishMessage: 'All is said.',
      safetyRatings: [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'NEGLIGIBLE' }],
      citationMetadata: {
        citationSources: [{ startIndex: 0, endIndex: 4, uri: 'https://a.example', license: 'mit' }],
      },
      groundingMetadata: { webSearchQueries: ['fine'], searchEntryPoint: { renderedContent: '<b>fine</b>' } },
    };
    const more = { modelVersion: 'gemini-3.8-flash-001', responseId: 'r1' };
    await using wire = await openWireChat(() => answer([{ text: 'Fine.' }], candidate, more));
    const { models, reply } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(reply).toMatchObject({
      finishMessage: 'All is said.',
      modelVersion: 'gemini-3.8-flash-001',
      responseId: 'r1',
      safetyRatings: [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'NEGLIGIBLE' }],
      searchSuggestions: { queries: ['fine'], html: '<b>fine</b>' },
      sources: [{ url: 'https://a.example', license: 'mit' }],
    });
  });

  it('says why a prompt was refused', async () => {
    const promptFeedback = { blockReason: 'OTHER', blockReasonMessage: 'Not in this country.' };
    await using wire = await openWireChat(() => events({ promptFeedback }));
    const { error, models } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(error).toMatchObject({ code: 'BLOCKED', message: expect.stringContaining('Not in this country') });
  });
});

describe('E: a request for each model', () => {
  const picture = () =>
    sharp({ create: { width: 60, height: 40, channels: 3, background: 'teal' } })
      .png()
      .toBuffer();

  it.each([
    ['gemma-3-27b-it', false],
    ['models/gemini-2.5-flash', false],
    ['an-unknown-model', false],
    ['gemini-3.8-flash', true],
  ])('%s gets a resolution for a picture: %s', async (model, expected) => {
    await using wire = await openWireChat(() => fine, { model });
    const seen = await wire.ask('What is this?', { media: [await picture()] });
    expect(seen.models).toHaveLength(1);
    const [request] = seen.requests as [ReceivedRequest];
    expect(holds(request, 'inlineData')).toBe(true);
    expect(holds(request, 'mediaResolution')).toBe(expected);
  });

  it.each([
    ['gemini-3.8-flash', 'xhigh', undefined],
    ['gemini-3.8-flash', 'high', 'HIGH'],
    ['gemini-3.5-flash-lite', 'minimal', 'MINIMAL'],
    ['gemini-4-hydrogen', 'xhigh', 'XHIGH'],
    ['gemini-2.5-flash', 'high', undefined],
    ['gemma-3-27b-it', 'low', undefined],
  ] as const)('%s gets the thinking level %s as %s', async (model, thinkingLevel, sent) => {
    await using wire = await openWireChat(() => fine, { model, generation: { thinkingLevel } });
    const { requests } = await wire.ask();
    expect(requests).toHaveLength(1);
    const [request] = requests as [ReceivedRequest];
    expect(holds(request, `"thinkingLevel":"${sent}"`)).toBe(sent !== undefined);
    expect(holds(request, 'thinkingLevel')).toBe(sent !== undefined);
  });

  it('goes on to the next fallback after one that refuses it, and tells the first fault', async () => {
    const fallbackModels = ['gemini-2.5-flash', 'gemini-3.5-flash-lite'];
    const bad = googleError(400, 'INVALID_ARGUMENT', 'Thinking level is not supported for this model.');
    const replies = (model: string) => (model === mainModel ? overloaded : bad);
    const options = { fallbackModels, generation: { thinkingLevel: 'high' } } as const;
    await using wire = await openWireChat((_call, model) => replies(model), options);
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, mainModel, ...fallbackModels]);
    expect(seen.error).toMatchObject({ code: 'MODEL_OVERLOADED' });
    expect(holds(seen.requests[2] as ReceivedRequest, 'thinkingLevel')).toBe(false);
    await using last = await openWireChat(
      (_call, model) => (model === fallbackModel ? fine : replies(model)),
      options,
    );
    expect((await last.ask()).reply?.model).toBe(fallbackModel);
  });
});

describe('F: what another attempt would meet again', () => {
  it('costs one call if the tokens are used up before the first word, and the error has the counts', async () => {
    const usageMetadata = { promptTokenCount: 9, thoughtsTokenCount: 4_096 };
    await using wire = await openWireChat(() =>
      answer([], { finishReason: 'MAX_TOKENS' }, { usageMetadata }),
    );
    const { error, models } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(error).toMatchObject({
      failure: { reason: 'MAX_TOKENS', usage: { inputTokens: 9, thoughtTokens: 4_096 } },
    });
  });

  it('costs no call if `fetch` refuses the request', async () => {
    await using wire = await openWireChat(() => fine, { baseUrl: 'http://127.0.0.1:6000' });
    const { error, models } = await wire.ask();
    expect(models).toEqual([]);
    expect(error).toMatchObject({ failure: { reason: 'REQUEST_REFUSED' }, attempts: [{}] });
  });
});

describe('G: a server in front of Gemini', () => {
  it.each<readonly [string, RawReply]>([
    ['401 { message }', refusal(401, { message: 'no such token' })],
    ['401 { error: { type } }', refusal(401, { error: { message: 'no such token', type: 'auth_error' } })],
    ['403 { detail }', refusal(403, { detail: 'no such token' })],
    ['403 { errors }', refusal(403, { errors: [{ message: 'no such token' }] })],
    ['403 { error_description }', refusal(403, { error_description: 'no such token' })],
  ])('that answers %s is quoted, in one call, and the key goes on to be used', async (_, reply) => {
    await using wire = await openWireChat((call) => (call === 1 ? reply : fine), {
      keys: ['the-only-key-00001'],
    });
    const { error, models } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(error).toMatchObject({ message: expect.stringContaining('no such token') });
    expect((await wire.ask()).reply?.attempts).toHaveLength(1);
  });

  it('gets further headers, and its version of the API once', async () => {
    const headers = { 'x-tenant': 'acme' };
    await using wire = await openWireChat(() => fine, { headers });
    const [request] = (await wire.ask()).requests as [ReceivedRequest];
    expect(request.headers['x-tenant']).toBe('acme');
    expect(request.url).toMatch(/^\/v1beta\/models\//);
    await using other = await openWireChat(() => fine, { baseUrl: `${wire.server.url}/v1beta` });
    await other.ask();
    expect(wire.server.requests.at(-1)?.url).toMatch(/^\/v1beta\/models\//);
  });
});

describe('H: what is told of an answer', () => {
  it('is no count that was not sent, and those of tools', async () => {
    const usageMetadata = { promptTokenCount: 9, toolUsePromptTokenCount: 4 };
    await using wire = await openWireChat(() => answer([{ text: 'Fine.' }], {}, { usageMetadata }));
    const { models, reply } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(reply?.usage).toEqual({ inputTokens: 9, toolTokens: 4 });
  });

  it('is every piece, also if several are alike and carry the same counts', async () => {
    const zero = textChunk('0 ', undefined, { usageMetadata: { promptTokenCount: 3, totalTokenCount: 3 } });
    await using wire = await openWireChat(() => events(zero, zero, zero, textChunk('.', 'STOP')));
    const { models, text } = await wire.ask();
    expect(models).toHaveLength(1);
    expect(text).toBe('0 0 0 .');
  });

  it.each(['IMAGE_OTHER', 'NO_IMAGE', 'OTHER'])(
    'is no refusal if the model stumbles: %s',
    async (finishReason) => {
      await using wire = await openWireChat(() => answer([], { finishReason }));
      const { error, models } = await wire.ask();
      expect(models).toHaveLength(2);
      expect(error).toBeInstanceOf(ModelCallError);
      expect(error).toMatchObject({ failure: { kind: 'incomplete', reason: finishReason } });
    },
  );
});

describe('keys that cannot serve', () => {
  const disabled = googleError(403, 'PERMISSION_DENIED', 'It is disabled.', [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'SERVICE_DISABLED' },
  ]);
  const invalid = googleError(400, 'INVALID_ARGUMENT', 'API key not valid.', [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' },
  ]);
  const spent = googleError(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota.', [
    {
      '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
      violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier', quotaValue: '20' }],
    },
    { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3s' },
  ]);
  const spending = googleError(429, 'RESOURCE_EXHAUSTED', 'Your project has reached its spend limit.');

  it.each([
    ['keys that are rejected', invalid, /not valid/],
    ['a service that is not enabled', disabled, /not enabled/],
    ['a quota of the day', spent, /daily quota/],
    ['a limit on what is spent', spending, /spending limit/],
  ])('refuse the first call and the next hundred, which reach nobody: %s', async (_, reply, sentence) => {
    await using wire = await openWireChat(() => reply);
    const first = await wire.ask();
    expect(first.error).toBeInstanceOf(KeyPoolExhaustedError);
    // Each project once for each model.
    expect(first.models.length).toBeLessThanOrEqual(4);
    const rest = await Promise.all(Array.from({ length: 100 }, () => wire.ask()));
    for (const { error } of [first, ...rest]) {
      expect(error).toMatchObject({ message: expect.stringMatching(sentence) });
      expect((error as KeyPoolExhaustedError).retryAfterMs).toBeGreaterThan(0);
    }
    const asked = wire.server.requests.filter(({ url }) => !url.includes('countTokens'));
    expect(asked).toHaveLength(first.models.length);
  });

  it('are passed over for one that can', async () => {
    await using wire = await openWireChat((_call, _model, { headers }) =>
      String(headers['x-goog-api-key']).includes('alpha') ? spending : fine,
    );
    const counts: number[] = [];
    for (let turn = 1; turn <= 5; turn += 1) counts.push((await wire.ask()).models.length);
    expect(counts.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(6);
  });
});

describe('new in the API', () => {
  it('sends a seed, modalities and a budget for thinking to a model that takes them', async () => {
    const generation = { seed: 7, thinkingBudget: 128, responseModalities: ['text', 'image'] } as const;
    const sentTo = async (model: string) => {
      await using wire = await openWireChat(() => fine, { model, generation });
      return (await wire.ask()).requests.map(({ body }) => body.generationConfig);
    };
    expect(await sentTo('gemini-2.5-flash')).toEqual([{ seed: 7, thinkingConfig: { thinkingBudget: 128 } }]);
    expect(await sentTo('gemini-3-pro-image')).toEqual([{ seed: 7, responseModalities: ['TEXT', 'IMAGE'] }]);
  });

  it('goes on with an answer that ends with a token, with another key, as one answer', async () => {
    const more = answer([{ text: 'One ' }], { finishReason: 'CONTINUATION', continuationToken: 'go on' });
    await using wire = await openWireChat((call) => (call === 1 ? more : events(textChunk('two.', 'STOP'))));
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text: 'One two.', restarts: 0, reply: { finishReason: 'stop' } });
    expect(seen.models).toEqual([mainModel, mainModel]);
    expect(holds(seen.requests[1] as ReceivedRequest, 'go on')).toBe(true);
  });
});
