import { afterEach, describe, expect, it, vi } from 'vitest';
import { ConfigurationError } from '../../core/errors.js';
import { FakeKeyPool } from '../../testing.js';
import { GeminiEmbedder } from './gemini-embedder.js';
import { GeminiModel } from './gemini-model.js';

const keyPool = new FakeKeyPool();
const notUrls = ['localhost:9', 'ftp://host', 'http://', ''];

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('GeminiModel', () => {
  it.each<[string, object]>([
    ['modell', { modell: 'x' }],
    ['model', { model: ' ' }],
    ['timeouts.totalMs', { timeouts: { totalMs: 0 } }],
    ['timeouts', { timeouts: { callMs: 1 } }],
    ['keepUploadsMs', { keepUploadsMs: -1 }],
    ['secrets', { secrets: ['a-secret-value'] }],
    ['clock', { clock: {} }],
    ...notUrls.map((baseUrl): [string, object] => ['baseUrl', { baseUrl }]),
  ])('refuses a wrong or unknown %s: %j', (option, options) => {
    const create = () => new GeminiModel(options);
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow(`The options of GeminiModel are not valid: `);
    expect(create).toThrow(option);
    expect(create).not.toThrow('a-secret-value');
  });

  it.each(['GeminiModel', 'GeminiEmbedder'] as const)(
    '%s names GOOGLE_GEMINI_BASE_URL when that is not a URL',
    (part) => {
      vi.stubEnv('GOOGLE_GEMINI_BASE_URL', 'localhost:9');
      const create = () => (part === 'GeminiModel' ? new GeminiModel() : new GeminiEmbedder({ keyPool }));
      expect(create).toThrow(ConfigurationError);
      expect(create).toThrow('GOOGLE_GEMINI_BASE_URL is "localhost:9"');
    },
  );

  it('answers with GEMINI_MODEL unless the option names another', () => {
    expect(new GeminiModel().models.default).toBe('gemini-3.8-flash');
    vi.stubEnv('GEMINI_MODEL', ' my-model ');
    expect(new GeminiModel().models.default).toBe('my-model');
    expect(new GeminiModel({ model: 'other' }).models.default).toBe('other');
  });
});

describe('GeminiEmbedder', () => {
  it.each<[string, object]>([
    ['keyPool', { keyPool: {} }],
    ['keyPool', { keyPool: undefined }],
    ['dimension', { dimension: 768 }],
    ['dimensions', { dimensions: 4096 }],
    ['dimensions', { dimensions: 1.5 }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['model', { model: '' }],
    ...notUrls.map((baseUrl): [string, object] => ['baseUrl', { baseUrl }]),
  ])('refuses a wrong or unknown %s: %j', (option, options) => {
    const create = () => new GeminiEmbedder({ keyPool, ...options });
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow(`The options of GeminiEmbedder are not valid: `);
    expect(create).toThrow(option);
  });
});
