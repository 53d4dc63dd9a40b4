import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../core/errors.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';

const create = (options: unknown) => () => new ScheduledKeyPool(options as ScheduledKeyPoolOptions);

describe('ScheduledKeyPool options', () => {
  it('rejects all wrong and unknown options in one error that names them', () => {
    const wrong = create({ keys: ['a-key'], limits: [{ rpm: -1 }], limit: 1 });
    expect(wrong).toThrow(ConfigurationError);
    expect(wrong).toThrow(/ScheduledKeyPool.*`limits\.0\.rpm`.*"limit"/);
  });

  it.each([
    ['keys', {}],
    ['keys', { keys: 'a-key' }],
    ['keys.0', { keys: [' '] }],
    ['keys.0', { keys: [{ key: 'a-key', projekt: 'alpha' }] }],
    ['limits.0', { keys: [], limits: [{ rpn: 1 }] }],
    ['limits.0.tpm', { keys: [], limits: [{ tpm: 1.5 }] }],
    ['maxWaitMs', { keys: [], maxWaitMs: -1 }],
    ['maxQueueLength', { keys: [], maxQueueLength: '10' }],
    ['maxInFlightPerProjectModel', { keys: [], maxInFlightPerProjectModel: 0 }],
    ['maxInFlight', { keys: [], maxInFlight: 0 }],
    ['maxLeaseMs', { keys: [], maxLeaseMs: 0 }],
    ['clock', { keys: [], clock: Date }],
    ['random', { keys: [], random: 0.5 }],
  ])('rejects a wrong value of `%s`: %j', (option, options) => {
    expect(create(options)).toThrow(ConfigurationError);
    expect(create(options)).toThrow(`\`${option}\``);
  });

  it('shows no key value in the error', () => {
    const secret = 'AIzaSy-a-secret-key-value';
    for (const keys of [[{ key: secret, project: '' }], secret, [[secret]]]) {
      expect(create({ keys })).toThrow(ConfigurationError);
      expect(create({ keys })).not.toThrow(secret);
    }
  });

  it('rejects a wrong key that is added later', () => {
    const pool = new ScheduledKeyPool({ keys: ['a-key'] });
    expect(() => pool.addKeys([''])).toThrow(ConfigurationError);
    expect(pool.secrets()).toEqual(['a-key']);
  });
});
