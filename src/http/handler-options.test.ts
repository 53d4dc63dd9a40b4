import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ConfigurationError } from '../index.js';
import { chatRouter } from './chat-router.js';
import { createHandler } from './handler.js';
import type { HandlerOptions, RouterOptions } from './handler-options.js';

const wrongOptions: Readonly<Record<keyof HandlerOptions, unknown>> = {
  basePath: 'api',
  page: 7,
  notice: '',
  allowedOrigins: ['https://app.example', 'app.example'],
  allowedHosts: ['https://chat.example.com'],
  apiToken: 'a b',
  authorize: 'yes',
  prepare: {},
  fields: ['prompt'],
  clientRpm: 0.5,
  clientAddress: {},
  maxUploadBytes: 0,
  maxBodyBytes: -1,
  maxBodyBytesInFlight: Number.NaN,
  maxUploadBytesInFlight: Number.POSITIVE_INFINITY,
  bodyTimeoutMs: 2 ** 31,
  maxFiles: '16',
  maxPromptChars: Number.NaN,
  heartbeatMs: 0,
  tempDir: '',
  onError: true,
};

describe('createHandler', () => {
  it.each(Object.entries(wrongOptions))('refuses a wrong %s and names it', (name, value) => {
    const create = () => createHandler(fakeChat(), { [name]: value });
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow(`options of createHandler are not valid: \`${name}`);
  });

  it('refuses an unknown option and names it', () => {
    const create = () => createHandler(fakeChat(), { maxUplaodBytes: 1 } as HandlerOptions);
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow('maxUplaodBytes');
  });
});

describe('chatRouter', () => {
  it.each<[string, unknown]>([
    ['fallthrough', 'no'],
    ['maxFiles', 0],
    ['basePath', '/api'],
  ])('refuses a wrong %s and names it', (name, value) => {
    const create = () => chatRouter(fakeChat(), { [name]: value } as RouterOptions);
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow(new RegExp(`options of chatRouter .*${name}`));
  });
});
