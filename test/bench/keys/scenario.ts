import { readFileSync } from 'node:fs';
import { z } from 'zod';

const share = z.number().min(0).max(1);
const durationMs = z.number().nonnegative();
const period = z.strictObject({ fromMs: durationMs, toMs: durationMs });

const projectSchema = z.strictObject({
  id: z.string(),
  keys: z.array(z.string()).min(1),
  limits: z.strictObject({ rpm: z.number(), tpm: z.number(), rpd: z.number().optional() }),
});

const faultsSchema = z.strictObject({
  /** From `atMs` on this key is refused as invalid. */
  keyDies: z.strictObject({ key: z.string(), atMs: durationMs }).optional(),
  /** Period in which all calls are refused for their rate. */
  exhausted: period.optional(),
  /** Period in which all calls fail with 503. */
  outage: period.optional(),
  /** Part of each quota that another application asks for. */
  foreignShare: share.default(0),
  /** Whether refusals name neither limit nor delay. */
  refusalsWithoutHint: z.boolean().default(false),
  /** Part of the calls that fail with 503 and with 500. */
  overloadedShare: share.default(0.01),
  internalShare: share.default(0.002),
});

const scenarioSchema = z.strictObject({
  name: z.string(),
  /** Whether `--quick` runs it. */
  quick: z.boolean().default(false),
  windows: z.array(z.enum(['sliding', 'fixed', 'bucket'])).default(['sliding']),
  /** What is asked for, as a part of what the quotas admit a minute. */
  loads: z.array(z.number().positive()),
  projects: z.string().default('unequal'),
  /** Only these policies. */
  policies: z.array(z.string()).optional(),
  /** Processes that share the keys through Redis. Default: one, without Redis. */
  redisProcesses: z.number().int().positive().optional(),
  minutes: z.number().positive().optional(),
  startsAt: z.iso.datetime().optional(),
  /** Factor of the configured limits over the real ones. */
  limitsFactor: z.number().positive().default(1),
  /** Periods in which traffic is a multiple of the mean; it is lower in between. */
  bursts: z.strictObject({ everyMs: durationMs, lastsMs: durationMs, factor: z.number() }).optional(),
  classes: z
    .array(z.strictObject({ tenant: z.string(), priority: z.enum(['interactive', 'batch']), share }))
    .default([{ tenant: 'default', priority: 'interactive', share: 1 }]),
  faults: faultsSchema.prefault({}),
});

const benchSchema = z.strictObject({
  seeds: z.array(z.number().int()),
  minutes: z.number().positive(),
  /** How long a user waits for an answer. */
  timeoutMs: durationMs,
  /** Mean input tokens of a request. */
  meanTokens: z.number().positive(),
  projects: z.record(z.string(), z.array(projectSchema)),
  scenarios: z.array(scenarioSchema),
});

export type BenchProject = z.output<typeof projectSchema>;
export type BenchFaults = z.output<typeof faultsSchema>;
export type Scenario = z.output<typeof scenarioSchema>;
export type Bench = z.output<typeof benchSchema>;

/** Reads scenarios and seeds, so that others than ours can be run. */
export function readBench(path: string | URL): Bench {
  return benchSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
}

/** One run: a scenario at one load, with one window model and one seed. */
export interface BenchCase {
  readonly scenario: Scenario;
  readonly policy: string;
  readonly window: Scenario['windows'][number];
  readonly load: number;
  readonly seed: number;
  readonly minutes: number;
}
