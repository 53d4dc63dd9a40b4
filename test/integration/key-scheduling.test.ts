import { describe, expect, it } from 'vitest';
import type { LimitRule } from '../../src/keys/limit-rules.js';
import { ScheduledKeyPool } from '../../src/keys/scheduler/scheduled-key-pool.js';
import { BackoffRetryPolicy } from '../../src/retry/backoff-retry-policy.js';
import type { ServiceFaults } from '../support/simulated-service.js';
import { type SimulationOptions, simulate, type TrafficClass } from '../support/simulated-traffic.js';

const minuteMs = 60_000;

const projects = [
  { name: 'alpha', keys: ['alpha-key-000001', 'alpha-key-000002'], rpm: 60, tpm: 60_000 },
  { name: 'beta', keys: ['beta-key-0000001'], rpm: 150, tpm: 120_000 },
  { name: 'gamma', keys: ['gamma-key-000001', 'gamma-key-000002'], rpm: 30, tpm: 250_000 },
  { name: 'delta', keys: ['delta-key-000001'], rpm: 100, tpm: 1_000_000 },
  { name: 'epsilon', keys: ['epsilon-key-0001', 'epsilon-key-0002'], rpm: 15, tpm: 100_000 },
  { name: 'zeta', keys: ['zeta-key-0000001'], rpm: 200, tpm: 200_000 },
];
const labelled = projects.flatMap(({ name, keys }) => keys.map((key) => ({ key, project: name })));
const unlabelled = labelled.map(({ key }) => key);
const limits: readonly LimitRule[] = projects.map(({ name, rpm, tpm }) => ({ project: name, rpm, tpm }));
const usualFaults: ServiceFaults = { overloadedShare: 0.01, internalShare: 0.002 };

interface Scenario {
  readonly window?: SimulationOptions['window'];
  readonly load?: number;
  readonly classes?: readonly TrafficClass[];
  readonly faults?: ServiceFaults;
  readonly minutes?: number;
  readonly deadlineMs?: number;
  readonly seed?: number;
}

const run = (
  pool: { keys: typeof labelled | typeof unlabelled; limits?: readonly LimitRule[] },
  {
    window = 'sliding',
    load = 0.9,
    faults,
    minutes = 10,
    deadlineMs = minuteMs,
    seed = 1,
    ...rest
  }: Scenario,
) =>
  simulate({
    seed,
    window,
    projects,
    classes: rest.classes ?? [{ tenant: 'default', priority: 'interactive', load }],
    durationMs: minutes * minuteMs,
    deadlineMs,
    meanTokens: 1_000,
    faults: { ...usualFaults, ...faults },
    createPool: (parts) => new ScheduledKeyPool({ ...pool, ...parts }),
    createRetry: (parts) => new BackoffRetryPolicy(parts),
  });

const configured = { keys: labelled, limits };
const learning = { keys: labelled };

describe('ScheduledKeyPool over six projects and nine keys, in virtual time', () => {
  describe.each(['sliding', 'fixed', 'bucket'] as const)('with %s windows', (window) => {
    it.each([0.9, 1, 1.5])(
      'uses the quotas and is hardly ever refused at %f of the ceiling, limits configured',
      async (load) => {
        const result = await run(configured, { window, load });
        expect(result.goodput).toBeGreaterThanOrEqual(0.99);
        expect(result.rejectionsPerSuccess).toBeLessThanOrEqual(0.001);
      },
    );

    it('learns the limits from a few refusals', async () => {
      const results = await Promise.all(
        [1, 2, 3].map((seed) => run(learning, { window, load: 1, minutes: 30, seed })),
      );
      for (const { goodput } of results) expect(goodput).toBeGreaterThanOrEqual(0.99);
      // Each of the twelve limits is learned once, from one or two refusals. About 16,000 calls follow.
      const mean = results.reduce((sum, { rejectionsPerSuccess }) => sum + rejectionsPerSuccess, 0) / 3;
      expect(mean).toBeLessThanOrEqual(0.001);
    });

    it('uses quotas that unlabelled keys share', async () => {
      const result = await run({ keys: unlabelled }, { window, load: 1 });
      expect(result.goodput).toBeGreaterThanOrEqual(0.95);
      expect(result.rejectionsPerSuccess).toBeLessThanOrEqual(0.15);
    });
  });

  const faults: Record<string, ServiceFaults> = {
    'a key dies': { keyDies: { key: 'alpha-key-000001', atMs: 2 * minuteMs } },
    'all quotas are exhausted for 20 s': { exhausted: { fromMs: 240_000, toMs: 260_000 } },
    'the service is out for 20 s': { outage: { fromMs: 240_000, toMs: 260_000 } },
  };
  describe.each(Object.entries(faults))('while %s', (_, fault) => {
    it.each([
      ['configured', configured],
      ['learned', learning],
    ])('fails no user at 0.9 of the ceiling, limits %s', async (__, pool) => {
      const result = await run(pool, { faults: fault });
      expect(result.userFailures).toBe(0);
      expect(result.callsPerOffered).toBeLessThanOrEqual(1.5);
    });
  });

  it('serves interactive calls within 20 s while batch calls exceed the quotas', async () => {
    const { classes } = await run(configured, {
      deadlineMs: 20_000,
      classes: [
        { tenant: 'people', priority: 'interactive', load: 0.5 },
        { tenant: 'jobs', priority: 'batch', load: 1 },
      ],
    });
    const people = classes.people;
    expect((people?.succeeded ?? 0) / (people?.offered ?? 1)).toBeGreaterThanOrEqual(0.99);
  });

  it('serves all calls of a light tenant beside one that exceeds the quotas', async () => {
    const { classes } = await run(configured, {
      deadlineMs: 20_000,
      classes: [
        { tenant: 'heavy', priority: 'interactive', load: 1.4 },
        { tenant: 'light', priority: 'interactive', load: 0.1 },
      ],
    });
    const light = classes.light;
    expect((light?.succeeded ?? 0) / (light?.offered ?? 1)).toBeGreaterThanOrEqual(0.99);
  });
});
