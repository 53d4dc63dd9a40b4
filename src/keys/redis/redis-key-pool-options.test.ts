import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../core/errors.js';
import { RedisKeyPool } from './redis-key-pool.js';
import type { RedisKeyPoolOptions } from './redis-key-pool-options.js';

const command = async () => undefined;
const client = { evalSha: command, eval: command, on: () => undefined, off: () => undefined };

const create = (options: object) => () =>
  new RedisKeyPool({ client, keys: ['a-key'], ...options } as RedisKeyPoolOptions);

describe('RedisKeyPool options', () => {
  it('rejects all wrong and unknown options in one error that names them', () => {
    const wrong = create({ limits: [{ rpm: -1 }], limit: 1 });
    expect(wrong).toThrow(ConfigurationError);
    expect(wrong).toThrow(/RedisKeyPool.*`limits\.0\.rpm`.*"limit"/);
  });

  it.each([
    ['prefix', ''],
    ['secret', ''],
    ['failClosed', 'yes'],
    ['expectedProcesses', 0],
    ['timeoutMs', 0],
    ['reservationTtlMs', -1],
    ['onLedgerChange', true],
    ['clock', {}],
    ['maxInFlight', 1.5],
  ])('rejects a wrong value of `%s`: %j', (option, value) => {
    expect(create({ [option]: value })).toThrow(ConfigurationError);
    expect(create({ [option]: value })).toThrow(`\`${option}\``);
  });

  it.each([undefined, null, {}, { get: () => undefined }])('explains that %o is no Redis client', (wrong) => {
    expect(create({ client: wrong })).toThrow(ConfigurationError);
    expect(create({ client: wrong })).toThrow('`client`: is no Redis client. Pass a connected client');
  });
});
