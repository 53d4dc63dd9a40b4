import { describe, expect, it } from 'vitest';
import type { FailureKind, MediaErrorReason } from '../index.js';
import {
  BlockedError,
  ConfigurationError,
  IncompleteReplyError,
  InvalidInputError,
  KeyPoolExhaustedError,
  MediaError,
  MemoryError,
  ModelCallError,
  TimeoutError,
} from '../index.js';
import { describeError } from './describe-error.js';

const failure = (kind: FailureKind) =>
  ({ kind, scope: 'call', message: 'It failed.', retryAfterMs: 900 }) as const;

describe('describeError', () => {
  it.each<[string, unknown, number]>([
    ['bad input', new InvalidInputError('No.'), 400],
    ['a block', new BlockedError('SAFETY', 'No.'), 422],
    ['no free key', new KeyPoolExhaustedError('No.'), 503],
    ['a broken answer', new IncompleteReplyError('Hal', failure('network'), []), 502],
    ['a time-out', new TimeoutError('No.', 1000), 504],
    ['memory', new MemoryError('No.'), 503],
    ['a wrong setting', new ConfigurationError('No.'), 500],
    ['anything else', new TypeError('No.'), 500],
    ['what is no error', undefined, 500],
  ])('gives %s its status', (_what, error, status) => {
    expect(describeError(error).status).toBe(status);
  });

  it.each<[MediaErrorReason, number]>([
    ['unsupported', 415],
    ['corrupt', 400],
    ['empty', 400],
    ['too-large', 413],
    ['not-found', 400],
    ['not-allowed', 400],
    ['timeout', 504],
    ['unavailable', 503],
  ])('gives media that is %s the status %i', (reason, status) => {
    expect(describeError(new MediaError(reason, 'No.'))).toMatchObject({ status, message: 'No.' });
  });

  it.each<[FailureKind, number]>([
    ['rate-limit', 503],
    ['daily-quota', 503],
    ['overloaded', 503],
    ['timeout', 504],
    ['invalid-request', 400],
    ['too-large', 413],
    ['blocked', 422],
    ['no-quota', 502],
    ['auth', 502],
    ['permission', 502],
    ['model-unavailable', 502],
    ['internal', 502],
    ['network', 502],
    ['incomplete', 502],
    ['billing', 502],
  ])('gives a call that failed by %s the status %i', (kind, status) => {
    expect(describeError(new ModelCallError(failure(kind)))).toMatchObject({ status, retryAfterMs: 900 });
  });

  it.each([
    new Error('/home/me/secret'),
    new MemoryError('/home/me/secret'),
    new ConfigurationError('/home/me/secret'),
    { message: '/home/me/secret' },
  ])('says nothing of the inside: %o', (error) => {
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
  });

  it('knows errors of another copy of the package', () => {
    const foreign = Object.assign(new Error('No.'), {
      name: 'MediaError',
      code: 'MEDIA_CORRUPT',
      reason: 'corrupt',
      [Symbol.for('multimodal-chat.error')]: true,
    });
    expect(describeError(foreign)).toMatchObject({ status: 400, code: 'MEDIA_CORRUPT' });
  });
});
