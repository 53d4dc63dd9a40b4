import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { atLeastOne, nonBlank, partWith } from '../../core/parse-options.js';

export interface OutboxOptions {
  /**
   * A file on a local disk, created with its directory on the first write. Any number of processes of one
   * machine may share it if they use the same store.
   */
  readonly path: string;
  /** How many turns may wait before `append` rejects. Default 100,000. */
  readonly maxPending?: number | undefined;
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
}

export const outboxOptionsSchema = z.strictObject({
  path: nonBlank,
  maxPending: atLeastOne.default(100_000),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(systemClock),
}) satisfies z.ZodType<unknown, OutboxOptions>;
