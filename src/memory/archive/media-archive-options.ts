import { z } from 'zod';
import { atLeastOne, nonBlank } from '../../core/parse-options.js';

export interface DiskMediaArchiveOptions {
  /** Created on the first write. */
  readonly directory: string;
  /** Bytes of all tenants together; what was attached longest ago goes first. Default 1 GiB. */
  readonly maxBytes?: number | undefined;
}

export const diskMediaArchiveOptionsSchema = z.strictObject({
  directory: nonBlank,
  maxBytes: atLeastOne.default(2 ** 30),
}) satisfies z.ZodType<unknown, DiskMediaArchiveOptions>;

export interface InProcessMediaArchiveOptions {
  /** Bytes of all tenants together; what was attached longest ago goes first. Default 256 MiB. */
  readonly maxBytes?: number | undefined;
}

export const inProcessMediaArchiveOptionsSchema = z.strictObject({
  maxBytes: atLeastOne.default(256 * 2 ** 20),
}) satisfies z.ZodType<unknown, InProcessMediaArchiveOptions>;
