import { describe, expect, it } from 'vitest';
import { ConfigurationError, InvalidInputError } from '../core/errors.js';
import type { ChatRequest, MultimodalChatOptions } from './chat-options.js';
import { resolveOptions, resolveRequest } from './parse-options.js';

const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('resolveOptions', () => {
  it('has a default for everything', () => {
    const options = resolveOptions({});
    expect(options.dataDir).toBe('./.multimodal-chat');
    expect(options.timeouts).toEqual({ callMs: 300_000, toolMs: 60_000 });
    expect(options.context).toEqual({
      mediaBytes: 70 * 2 ** 20,
      mediaTokens: 64_000,
      earlierMediaTokens: 8_000,
      recentTokens: 12_000,
      recentTurns: 40,
      recallTokens: 4_000,
      recallTurns: 20,
      toolResultTokens: 16_000,
    });
    expect(options.generation).toEqual({});
  });

  it.each([
    'httpOptions',
    'abortSignal',
    'systemInstruction',
    'automaticContinuation',
    'automaticFunctionCalling',
  ])('refuses %s in `providerOptions.google`, which would be ignored', (field) => {
    const providerOptions = { google: { [field]: {} } };
    expect(() => resolveOptions({ providerOptions })).toThrow(ConfigurationError);
    expect(() => resolveRequest({ prompt: 'hi', providerOptions })).toThrow(InvalidInputError);
    expect(() => resolveRequest({ prompt: 'hi', providerOptions })).toThrow(
      `providerOptions.google.${field}`,
    );
  });

  it('keeps the other defaults of a group when one member is set', () => {
    expect(resolveOptions({ timeouts: { firstTokenMs: 5 } }).timeouts).toEqual({
      callMs: 300_000,
      firstTokenMs: 5,
      toolMs: 60_000,
    });
  });

  it.each([
    [undefined, undefined],
    [false, undefined],
    [true, { maxTokens: 1_000, everyTokens: 4_000 }],
    [{ everyTokens: 9 }, { maxTokens: 1_000, everyTokens: 9 }],
  ])('resolves `summary: %j` to %j', (summary, settings) => {
    expect(resolveOptions({ context: { summary } }).context.summary).toEqual(settings);
  });

  it('keeps injected parts as they are', () => {
    const retry = { next: () => undefined };
    expect(resolveOptions({ retry }).retry).toBe(retry);
  });

  it('recognizes an injected part by inherited methods', () => {
    const inherited = Object.create({
      next: () => undefined,
      prepare: () => undefined,
      close: () => undefined,
    });
    const resolved = resolveOptions({ retry: inherited, media: inherited });
    expect(resolved.retry).toBe(inherited);
    expect(resolved.media).toBe(inherited);
  });

  it.each<[string, object, RegExp]>([
    ['an unknown option', { modell: 'x' }, /modell/],
    ['a misspelled option of a group', { timeouts: { callms: 1 } }, /timeouts/],
    ['a summary of nothing', { context: { summary: { maxTokens: 0 } } }, /context\.summary/],
    ['a negative budget', { context: { recallTokens: -1 } }, /context\.recallTokens/],
    [
      'a part without its methods',
      { keyPool: {} },
      /KeyPool: an object with acquire\(\), stats\(\), close\(\)/,
    ],
    ['an empty key', { keys: [''] }, /keys\.0/],
    ['an invalid base URL', { baseUrl: 'localhost' }, /baseUrl/],
    ['an undefined key', { keys: [undefined] }, /keys\.0.*undefined.*environment variable/],
    [
      'an undefined key of a project',
      { keys: [{ key: undefined, project: 'a' }] },
      /keys\.0\.key.*environment/,
    ],
    ['a blank key', { keys: [' '] }, /keys\.0.*empty.*environment variable/],
    ['the name of another library', { apiKey: 'x' }, /apiKey.*Did you mean `keys`\?/],
    ['another spelling', { baseURL: 'http://x' }, /baseURL.*Did you mean `baseUrl`\?/],
    ['what belongs to a call', { messages: [] }, /messages.*`prompt` and `history` of a call/],
    ['two wrong options at once', { dataDir: '', model: 7 }, /dataDir.*model|model.*dataDir/],
  ])('names the option when refusing %s', (_, options, message) => {
    const error = thrownBy(() => resolveOptions(options as MultimodalChatOptions));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toMatch(message);
  });

  it('takes null for no options', () => {
    expect(resolveOptions(null as never).dataDir).toBe('./.multimodal-chat');
  });

  it('does not echo a refused key', () => {
    const error = thrownBy(() => resolveOptions({ keys: [{ key: 'AIzaSecret', projct: 'x' } as never] }));
    expect(String(error)).not.toContain('AIzaSecret');
  });
});

describe('resolveRequest', () => {
  it('needs no more than a prompt', () => {
    expect(resolveRequest({ prompt: 'Hi' })).toEqual({
      prompt: 'Hi',
      tenant: 'default',
      media: [],
      priority: 'interactive',
    });
  });

  it.each<[string, object, RegExp]>([
    ['no prompt', {}, /prompt/],
    ['a blank prompt', { prompt: ' \n' }, /prompt.*empty/],
    ['an empty session', { prompt: 'x', sessionId: '' }, /sessionId/],
    ['a missing attachment', { prompt: 'x', media: [undefined] }, /media\.0.*a path, a URL/],
    [
      'an unknown field of an attachment',
      { prompt: 'x', media: [{ data: 'a', start: 1 }] },
      /media\.0.*start/,
    ],
    ['an attachment beside its list', { prompt: 'x', image: 'a' }, /image.*Did you mean `media`\?/],
    ['messages', { messages: [] }, /messages.*Did you mean `history`.*`prompt`/],
    ['an `abortSignal`', { prompt: 'x', abortSignal: {} }, /abortSignal.*Did you mean `signal`\?/],
    ['a name of HTTP', { prompt: 'x', session_id: 'a' }, /session_id.*Did you mean `sessionId`\?/],
    ['a key', { prompt: 'x', apiKey: 'a' }, /apiKey.*`keys` of the chat/],
    ['an invalid signal', { prompt: 'x', signal: {} }, /signal/],
  ])('names the field when refusing %s', (_, request, message) => {
    const error = thrownBy(() => resolveRequest(request as ChatRequest));
    expect(error).toBeInstanceOf(InvalidInputError);
    expect((error as Error).message).toMatch(message);
  });
});
