import { z } from 'zod';
import type { AbortOptions } from '../../core/abort.js';
import { durationMs, nonBlank } from '../../core/parse-options.js';

export interface ChromaServerOptions extends AbortOptions {
  /** The directory of its data, created if missing. One server at a time. */
  readonly path: string;
  /** Default: a free one. */
  readonly port?: number | undefined;
  /** The address it listens on. Default `127.0.0.1`; it asks for no password, so keep it local. */
  readonly host?: string | undefined;
  /** How long it may take to answer, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How to start it: a program and its first parameters, after which come `run --path … --host …
   * --port …`. Default: this Node on the command line that `chromadb` ships.
   */
  readonly command?: readonly string[] | undefined;
}

export const chromaServerOptionsSchema = z.strictObject({
  path: nonBlank,
  port: z.number().int().min(0).max(65_535).default(0),
  host: nonBlank.default('127.0.0.1'),
  timeoutMs: durationMs.default(30_000),
  command: z.array(z.string()).min(1).readonly().optional(),
  signal: z.instanceof(AbortSignal).optional(),
}) satisfies z.ZodType<unknown, ChromaServerOptions>;
