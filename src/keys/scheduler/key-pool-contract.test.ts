import { describe, it } from 'vitest';
import { keyPoolContract } from '../../testing/contracts/key-pool-contract.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';

describe('ScheduledKeyPool', () => {
  for (const { name, run } of keyPoolContract((setup) => new ScheduledKeyPool(setup))) it(name, run);
});
