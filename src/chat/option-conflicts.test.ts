import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../core/errors.js';
import type { ChatModel } from '../model/chat-model.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import { FakeChatModel, FakeEmbedder, FakeKeyPool, FakeMediaProcessor, InMemoryStore } from '../testing.js';
import type { MultimodalChatOptions } from './chat-options.js';
import { MultimodalChat } from './multimodal-chat.js';

const model = new FakeChatModel();
const keyed = new FakeChatModel([], { needsKey: true, model: 'keyed' });
const memory = new InMemoryStore();
const keyPool = new FakeKeyPool();
const embedder = new FakeEmbedder();
const retry: RetryPolicy = { next: () => undefined };
const withoutSummaries = Object.assign(new InMemoryStore(), { summaries: undefined });

const rejected: readonly [string, MultimodalChatOptions, RegExp][] = [
  ['keys + keyPool', { keys: ['k-0001'], keyPool }, /`keys` .*`keyPool`/],
  ['limits + keyPool', { limits: [{ rpm: 1 }], keyPool }, /`limits` .*`keyPool`/],
  ['keys + a model without key', { keys: ['k-0001'], model }, /`keys` .*no model of this chat needs a key/],
  ['limits + a model without key', { limits: [{ rpm: 1 }], model }, /`limits` .*needs a key/],
  ['keyPool + a model without key', { keyPool, model }, /`keyPool` .*needs a key/],
  ['keys + models without key', { keys: ['k-0001'], model, fallbackModels: ['b'] }, /`keys` /],
  ['baseUrl + own model', { baseUrl: 'http://localhost:1', model }, /`baseUrl` .*`model`/],
  ['apiVersion + own model', { apiVersion: 'v1', model }, /`apiVersion` .*`model`/],
  ['headers + own model', { headers: { a: 'b' }, model }, /`headers` .*`model`/],
  ['fetch + own model', { fetch, model }, /`fetch` .*`model`/],
  ['timeouts.firstTokenMs + own model', { timeouts: { firstTokenMs: 1 }, model }, /`timeouts.firstTokenMs`/],
  ['timeouts.betweenChunksMs + own model', { timeouts: { betweenChunksMs: 1 }, model }, /betweenChunksMs/],
  [
    'fallbackModels + own RetryPolicy',
    { keyPool, fallbackModels: ['b'], retry },
    /`fallbackModels` .*RetryPolicy/,
  ],
  ['embedder + own memory', { keyPool, embedder, memory }, /`embedder` .*`memory`/],
  ['embedder + memory: false', { keyPool, embedder, memory: false }, /`embedder` .*`memory: false`/],
  ['retention + memory: false', { keyPool, retention: { maxAgeMs: 1 }, memory: false }, /`retention` /],
  ['mediaArchive + memory: false', { keyPool, mediaArchive: {}, memory: false }, /`mediaArchive` /],
  ['summary + memory: false', { keyPool, context: { summary: true }, memory: false }, /`context.summary` /],
  [
    'summary + a store without summaries',
    { keyPool, context: { summary: true }, memory: withoutSummaries },
    /`context.summary` .*`summaries`/,
  ],
];

const accepted: readonly [string, MultimodalChatOptions][] = [
  ['timeouts.callMs beside an own model', { timeouts: { callMs: 1 }, model }],
  ['keys for a fallback beside a model without key', { keys: ['k-0001'], model, fallbackModels: [keyed] }],
  ['a keyPool for an own model that needs a key', { keyPool, model: keyed }],
  ['models of other providers beside an own RetryPolicy', { keyPool, retry, fallbackModels: [model] }],
  [
    '`false` for what is off anyway',
    { keyPool, memory: false, mediaArchive: false, context: { summary: false } },
  ],
  ['an own archive beside an own store', { keyPool, memory, mediaArchive: false }],
  ['dataDir beside memory: false', { keyPool, dataDir: './nowhere', memory: false }],
  ['every part injected', { keyPool, model: keyed, memory, retry, media: new FakeMediaProcessor() }],
];

describe('MultimodalChat, given options of which one would be ignored', () => {
  it.each(rejected)('refuses %s', (_, options, sentence) => {
    expect(() => new MultimodalChat(options)).toThrow(ConfigurationError);
    expect(() => new MultimodalChat(options)).toThrow(sentence);
  });

  it.each(accepted)('takes %s', async (_, options) => {
    const chat = new MultimodalChat(options);
    await chat.close();
    expect(chat).toBeInstanceOf(MultimodalChat);
  });

  it('refuses two models of one name, which a fallback could not tell apart', () => {
    const twin: ChatModel = new FakeChatModel();
    expect(() => new MultimodalChat({ model, fallbackModels: [twin] })).toThrow(/two models.* name/i);
  });
});
