import { describe, expect, it } from 'vitest';
import * as errors from '../core/errors.js';
import type { FailureKind, MediaErrorReason } from '../index.js';
import {
  BlockedError,
  ClosedError,
  ConfigurationError,
  IncompleteReplyError,
  InvalidInputError,
  KeyPoolExhaustedError,
  MediaError,
  MemoryError,
  ModelCallError,
  OutputError,
  TimeoutError,
} from '../index.js';
import { describeError } from './describe-error.js';

const failure = (kind: FailureKind) =>
  ({ kind, scope: 'call', message: 'It failed.', retryAfterMs: 900 }) as const;

describe('describeError', () => {
  const samples: Readonly<
    Record<Exclude<keyof typeof errors, 'MultimodalChatError'>, readonly [errors.MultimodalChatError, number]>
  > = {
    BlockedError: [new BlockedError('SAFETY', 'No.'), 422],
    ClosedError: [new ClosedError('chat'), 503],
    ConfigurationError: [new ConfigurationError('No.'), 500],
    IncompleteReplyError: [new IncompleteReplyError('Hal', failure('network'), []), 502],
    InvalidInputError: [new InvalidInputError('No.'), 400],
    KeyPoolExhaustedError: [new KeyPoolExhaustedError('No.'), 503],
    MediaError: [new MediaError('corrupt', 'No.'), 400],
    MemoryError: [new MemoryError('No.'), 503],
    ModelCallError: [new ModelCallError(failure('internal')), 502],
    OutputError: [new OutputError('No.', { text: '{', issues: 'half' }), 502],
    TimeoutError: [new TimeoutError('No.', 1000), 504],
  };

  it.each(Object.entries(samples))('maps a %s to its own code and status', (_name, [error, status]) => {
    expect(describeError(error)).toMatchObject({ status, code: error.code });
  });

  it('has a sample of every error class', () => {
    const { MultimodalChatError, ...classes } = errors;
    const concrete = Object.entries(classes).filter(
      ([, value]) => value.prototype instanceof MultimodalChatError,
    );
    expect(concrete.map(([name]) => name).sort()).toEqual(Object.keys(samples).sort());
  });

  it.each([new TypeError('No.'), undefined, null, 'No.'])('maps %o to 500', (error) => {
    expect(describeError(error)).toMatchObject({ status: 500, code: 'INTERNAL' });
  });

  it('gives no time to retry after the service was closed', () => {
    expect(describeError(new ClosedError('key pool')).retryAfterMs).toBeUndefined();
    expect(describeError(new KeyPoolExhaustedError('No.', { retryAfterMs: 5 })).retryAfterMs).toBe(5);
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
  ])('maps media that is %s to %i', (reason, status) => {
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
  ])('maps a failed call of kind %s to %i', (kind, status) => {
    expect(describeError(new ModelCallError(failure(kind)))).toMatchObject({ status, retryAfterMs: 900 });
  });

  it.each([
    new Error('/home/me/secret'),
    new MemoryError('/home/me/secret'),
    new ConfigurationError('/home/me/secret'),
    { message: '/home/me/secret' },
  ])('reveals nothing internal: %o', (error) => {
    expect(JSON.stringify(describeError(error))).not.toContain('secret');
  });

  it('recognizes errors of another copy of the package', () => {
    const foreign = Object.assign(new Error('No.'), {
      name: 'MediaError',
      code: 'MEDIA_CORRUPT',
      reason: 'corrupt',
      [Symbol.for('multimodal-chat.error')]: true,
    });
    expect(describeError(foreign)).toMatchObject({ status: 400, code: 'MEDIA_CORRUPT' });
  });
});
