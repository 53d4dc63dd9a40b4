import { resolve } from 'node:path';
import { ConfigurationError } from 'multimodal-chat';
import { describe, expect, it } from 'vitest';
import { isLoopback, readSettings } from './config.js';

describe('readSettings', () => {
  it('has a default for each setting', () => {
    expect(readSettings({})).toEqual({
      keys: [],
      model: undefined,
      baseUrl: undefined,
      host: 'localhost',
      port: 9000,
      logLevel: 'INFO',
      logFile: resolve('chat_api.log'),
      memory: { kind: 'embedded' },
      summary: false,
      tools: false,
      dataDir: resolve('.multimodal-chat'),
      apiToken: undefined,
      allowedOrigins: [],
      allowedHosts: undefined,
      trustProxy: ['loopback'],
      clientRpm: undefined,
      maxUploadBytes: 200 * 1024 * 1024,
      warnings: [],
    });
  });

  it('treats blank variables as unset, as in a copied .env.example', () => {
    const blank = { PORT: '', HOST: '  ', GEMINI_API_KEY: '', REDIS_URL: '', API_TOKEN: ' ', CLIENT_RPM: '' };
    expect(readSettings(blank)).toEqual(readSettings({}));
  });

  it.each([
    [{ PORT: '8080' }, { port: 8080 }],
    [{ HOST: '127.0.0.1' }, { host: '127.0.0.1' }],
    [{ LOG_LEVEL: 'debug' }, { logLevel: 'DEBUG' }],
    [{ LOG_FILE: '/var/log/chat.log' }, { logFile: '/var/log/chat.log' }],
    [{ MEMORY: 'chroma' }, { memory: { kind: 'chroma', url: undefined } }],
    [
      { MEMORY: 'chroma', CHROMA_URL: 'http://chroma:8000' },
      { memory: { kind: 'chroma', url: 'http://chroma:8000' } },
    ],
    [
      { MEMORY: 'chroma', CHROMA_OUTBOX: 'on', MEMORY_PATH: '/srv/chat' },
      { memory: { kind: 'chroma', url: undefined, outbox: '/srv/chat/outbox.sqlite' } },
    ],
    [{ MEMORY: 'chroma', CHROMA_OUTBOX: 'off' }, { memory: { kind: 'chroma', outbox: undefined } }],
    [{ MEMORY_PATH: '/srv/chat' }, { dataDir: '/srv/chat' }],
    [{ SUMMARY: 'on' }, { summary: true }],
    [{ TOOLS: 'on' }, { tools: true }],
    [
      { ALLOWED_ORIGINS: 'https://a.example/, http://localhost:3000' },
      { allowedOrigins: ['https://a.example', 'http://localhost:3000'] },
    ],
    [{ ALLOWED_ORIGINS: '*' }, { allowedOrigins: ['*'] }],
    [{ ALLOWED_HOSTS: 'Chat.example.com, chat' }, { allowedHosts: ['chat.example.com', 'chat'] }],
    [{ TRUST_PROXY: 'loopback, 172.16.0.0/12' }, { trustProxy: ['loopback', '172.16.0.0/12'] }],
    [{ TRUST_PROXY: '2' }, { trustProxy: 2 }],
    [{ CLIENT_RPM: '30' }, { clientRpm: 30 }],
    [
      { HTTP_PROXY: 'http://a:1', HTTPS_PROXY: 'https://u:p%40ss@b', NO_PROXY: 'localhost,.corp' },
      { proxies: { httpProxy: 'http://a:1', httpsProxy: 'https://u:p%40ss@b', noProxy: 'localhost,.corp' } },
    ],
    [
      { HTTP_PROXY: 'http://a:1', http_proxy: 'http://b:1', NO_PROXY: 'x', no_proxy: '*', https_proxy: ' ' },
      { proxies: { httpProxy: 'http://b:1', httpsProxy: undefined, noProxy: '*' } },
    ],
    [{ https_proxy: 'proxy.corp:3128' }, { proxies: { httpsProxy: 'http://proxy.corp:3128', noProxy: '' } }],
    [{ NO_PROXY: 'localhost' }, { proxies: undefined }],
    [{ MAX_UPLOAD_MB: '5' }, { maxUploadBytes: 5 * 1024 * 1024 }],
    [{ GEMINI_MODEL: 'gemini-3.5-flash' }, { model: 'gemini-3.5-flash' }],
    [
      { GEMINI_API_KEY_2: 'b', GEMINI_API_KEY_1: 'a', GEMINI_KEY_PROJECTS: '2:beta' },
      { keys: ['a', { key: 'b', project: 'beta' }] },
    ],
  ])('read %j', (env, expected) => {
    expect(readSettings(env)).toMatchObject(expected);
  });

  it.each([
    [{ PORT: '0x50' }, 'PORT must be a port from 0 to 65535'],
    [{ PORT: '70000' }, 'PORT must be a port from 0 to 65535'],
    [{ LOG_LEVEL: 'LOUD' }, 'LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL'],
    [{ MEMORY: 'redis' }, 'MEMORY must be embedded or chroma'],
    [{ CHROMA_URL: 'chroma:8000' }, 'CHROMA_URL must be an http:// or https:// URL'],
    [{ CHROMA_OUTBOX: '/tmp/outbox' }, 'CHROMA_OUTBOX must be on or off'],
    [{ SUMMARY: 'yes' }, 'SUMMARY must be on or off'],
    [{ GOOGLE_GEMINI_BASE_URL: 'nowhere' }, 'GOOGLE_GEMINI_BASE_URL must be an http:// or https:// URL'],
    [
      { ALLOWED_ORIGINS: 'https://a.example/path' },
      'ALLOWED_ORIGINS must be a comma-separated list of origins',
    ],
    [{ ALLOWED_HOSTS: 'https://a.example' }, 'ALLOWED_HOSTS must be a comma-separated list of host names'],
    [{ TRUST_PROXY: 'yes' }, 'TRUST_PROXY must be loopback, addresses or networks'],
    [{ TRUST_PROXY: '10.0.0.0/33' }, 'TRUST_PROXY must be loopback, addresses or networks'],
    [{ API_TOKEN: 'two words' }, 'API_TOKEN must be ASCII text without blanks'],
    [{ GEMINI_MODEL: 'gemini 3.8 flash' }, 'GEMINI_MODEL must be the name of a model'],
    [{ REDIS_URL: 'redis://localhost/main' }, 'REDIS_URL must be a redis:// or rediss:// URL'],
    [{ PORT: 'abc' }, 'PORT must be a port from 0 to 65535'],
    [{ CLIENT_RPM: 'NaN' }, 'CLIENT_RPM must be a whole number'],
    [{ GEMINI_API_KEY_1: 'a', GEMINI_KEY_PROJECTS: '1=alpha' }, 'is not of the form "suffix:project"'],
    [{ CLIENT_RPM: '0' }, 'CLIENT_RPM must be a whole number of requests a minute, 1 or more'],
    [{ MAX_UPLOAD_MB: '1.5' }, 'MAX_UPLOAD_MB must be a whole number of megabytes from 1 to 2048'],
    [{ HTTP_PROXY: 'socks5://proxy:1080' }, 'HTTP_PROXY must be the http:// or https:// URL of a proxy'],
    [{ https_proxy: 'http://u:100%@proxy' }, 'HTTPS_PROXY must be the http:// or https:// URL of a proxy'],
    [{ HTTP_PROXY: 'a proxy' }, 'HTTP_PROXY must be the http:// or https:// URL of a proxy'],
    [{ REDIS_URL: 'localhost:6379' }, 'REDIS_URL must be a redis:// or rediss:// URL'],
    [{ GEMINI_KEY_PROJECTS: '1:alpha' }, 'GEMINI_KEY_PROJECTS names key "1"'],
  ])('refuse %j and name the variable', (env, sentence) => {
    expect(() => readSettings(env)).toThrow(ConfigurationError);
    expect(() => readSettings(env)).toThrow(sentence);
  });

  it('names every wrong variable at once, without its value', () => {
    expect(() => readSettings({ PORT: 'secret', MEMORY: 'disk' })).toThrow(
      /^The environment is not valid: PORT [^;]+; MEMORY [^;]+\.$/,
    );
    expect(() => readSettings({ PORT: 'secret' })).not.toThrow(/secret/);
  });

  it.each([
    [{ HOST: '0.0.0.0' }, /OPEN/],
    [{ HOST: '::' }, /OPEN/],
    [{ ALLOWED_ORIGINS: '*' }, /every web page/],
    [{ ALLOWED_HOSTS: '*' }, /DNS rebinding/],
    [{ API_TOKEN: 'short' }, /API_TOKEN has fewer than 16 characters/],
    [{ CHROMA_URL: 'http://localhost:8000' }, /^CHROMA_URL.*MEMORY is not chroma/],
    [{ CHROMA_OUTBOX: 'on' }, /^CHROMA_OUTBOX.*MEMORY is not chroma/],
    [{ GOOGLE_GEMINI_BASE_URL: 'http://localhost:1' }, /GOOGLE_GEMINI_BASE_URL is not used/],
  ])('doubt %j', (env, sentence) => {
    expect(readSettings(env).warnings).toEqual([expect.stringMatching(sentence)]);
  });

  it('has no warning about an open server with a good token', () => {
    expect(readSettings({ HOST: '0.0.0.0', API_TOKEN: 'x'.repeat(32) }).warnings).toEqual([]);
  });
});

describe('isLoopback', () => {
  it.each([
    ['localhost', true],
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['127.example.com', false],
    ['192.168.0.2', false],
  ])('%s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});
