import { describe, it } from 'vitest';
import { keyPoolContract } from '../../testing/contracts/key-pool-contract.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';

describe('ScheduledKeyPool keeps the contract of key pools', () => {
  for (const { name, run } of keyPoolContract((setup) => new ScheduledKeyPool(setup))) it(name, run);
});
