import {
  type KeyLease,
  type KeyPool,
  KeyPoolExhaustedError,
  type LeaseOutcome,
  ScheduledKeyPool,
} from 'multimodal-chat';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { VirtualClock } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';
import { standStill } from '../support/redis-time.js';
import { seededRandom } from '../support/seeded-random.js';

const server = await startRedisServer();
const client = createClient({ url: server?.url ?? '' });
if (server !== undefined) await client.connect();
afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

const seeds = Array.from({ length: Number(process.env.SAME_POLICY_SEEDS ?? 20) }, (_, place) => place + 1);
const stepsPerSeed = 500;
const model = 'gemini-3.8-flash';
/** After the deadline. Some leases are never settled, as if their caller had died. */
const maxLeaseMs = 45_000;
const keys = [
  { key: 'the-first-alpha-key-0001', project: 'alpha' },
  { key: 'the-other-alpha-key-0002', project: 'alpha' },
  { key: 'the-only-beta-key-000003', project: 'beta' },
  { key: 'the-only-gamma-key-00004', project: 'gamma' },
  { key: 'the-only-delta-key-00005', project: 'delta' },
  'the-first-unlabelled-key-7',
  'the-other-unlabelled-key-8',
];
const limits = [
  { project: 'alpha', rpm: 20, tpm: 20_000 },
  { project: 'beta', rpm: 30, rpd: 400 },
];

/** One thing that happens to a pool. */
type Step =
  | { readonly type: 'acquire'; readonly request: Parameters<KeyPool['acquire']>[0]; readonly waitMs: number }
  | { readonly type: 'settle'; readonly place: number; readonly outcome: LeaseOutcome }
  /** The caller of a waiting call leaves, or one that holds a lease never settles it. */
  | { readonly type: 'cancel' | 'lose'; readonly place: number }
  | { readonly type: 'wait'; readonly ms: number };

function makeSteps(seed: number): readonly Step[] {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const failure = (kind: string, scope: string, rest: object = {}) =>
    ({
      ok: false,
      sent: true,
      failure: { kind, scope, message: `It was ${kind}.`, ...rest },
    }) as LeaseOutcome;
  const outcomes: (() => LeaseOutcome)[] = [
    () => failure('rate-limit', 'project-model', { retryAfterMs: below(20_000) }),
    () => failure('rate-limit', 'project-model'),
    () => failure('rate-limit', 'project-model', { retryAfterMs: 900, learned: { rpm: 5 + below(20) } }),
    () => failure('rate-limit', 'project-model', { retryAfterMs: 5_000, learned: { tpm: 5_000 } }),
    () => failure('daily-quota', 'project-model', { learned: { rpd: 50 } }),
    () => failure('overloaded', 'model'),
    () => failure('overloaded', 'model'),
    () => failure('auth', 'key', { reason: 'API_KEY_INVALID' }),
    () => failure('permission', 'project', { reason: 'SERVICE_DISABLED' }),
    () => failure('billing', 'project'),
    () => failure('invalid-request', 'call', { project: 'projects/4711' }),
    () => failure('no-quota', 'project-model'),
    () => failure('too-large', 'call'),
    () => failure('rate-limit', 'project-model', { retryAfterMs: 2_000, learned: { tpm: 900 } }),
    () => failure('invalid-request', 'call'),
    () => ({ ...failure('network', 'model'), sent: false }) as LeaseOutcome,
  ];
  return Array.from({ length: stepsPerSeed }, (): Step => {
    const choice = random();
    if (choice < 0.45) {
      const request = {
        model,
        estimatedTokens: 50 + below(1_500),
        priority: below(5) === 0 ? 'batch' : 'interactive',
        ...(below(3) === 0 ? { tenant: `tenant-${below(3)}` } : {}),
        ...(below(8) === 0 ? { project: 'alpha' } : {}),
        ...(below(8) === 0 ? { avoidProject: 'beta' } : {}),
        ...(below(6) === 0 ? { maxWaitMs: below(30_000) } : {}),
      } as const;
      return { type: 'acquire', request, waitMs: below(4) === 0 ? 300_000 : 1 + below(40_000) };
    }
    if (choice < 0.5) return { type: 'cancel', place: below(1_000) };
    if (choice < 0.51) return { type: 'lose', place: below(1_000) };
    if (choice < 0.86) {
      const isRefused = random() < 0.1;
      const inputTokens = 50 + below(1_500);
      const outcome = isRefused
        ? (outcomes[below(outcomes.length)]?.() as LeaseOutcome)
        : ({
            ok: true,
            usage: { inputTokens, outputTokens: 10, totalTokens: inputTokens + 10 },
          } as LeaseOutcome);
      return { type: 'settle', place: below(1_000), outcome };
    }
    return { type: 'wait', ms: below(10) === 0 ? below(120_000) : 1 + below(4_000) };
  });
}

/** What became of each call: its key, or when and why it was refused. */
async function play(
  script: readonly Step[],
  create: (clock: VirtualClock) => KeyPool,
): Promise<readonly string[]> {
  const clock = new VirtualClock();
  const pool = create(clock);
  const ends: string[] = [];
  /** By call: the order of calls that are served at one moment does not matter. */
  const leases = new Map<number, KeyLease & { readonly expiresAt: number }>();
  const waiting = new Map<number, AbortController>();
  const nth = (open: ReadonlyMap<number, unknown>, place: number) =>
    [...open.keys()].sort((a, b) => a - b)[place % open.size] ?? -1;
  let calls = 0;
  for (const step of script) {
    if (step.type === 'wait') await clock.advance(step.ms);
    else if (step.type === 'settle') {
      const call = nth(leases, step.place);
      const lease = leases.get(call);
      // A lost lease may be reclaimed at any time from then on, which the pools notice at different moments.
      if (lease !== undefined && clock.now() < lease.expiresAt) lease.settle(step.outcome);
      leases.delete(call);
    } else if (step.type === 'lose') leases.delete(nth(leases, step.place));
    else if (step.type === 'cancel') waiting.get(nth(waiting, step.place))?.abort('cancelled');
    else if (step.type === 'acquire') {
      const call = calls;
      calls += 1;
      const controller = new AbortController();
      waiting.set(call, controller);
      const { signal } = controller;
      const deadline = clock.now() + step.waitMs;
      pool.acquire({ ...step.request, deadline }, { signal }).then(
        (lease) => {
          waiting.delete(call);
          ends[call] = `granted ${lease.key.id} at ${clock.now()}`;
          leases.set(call, { ...lease, expiresAt: deadline + maxLeaseMs });
        },
        (error: unknown) => {
          waiting.delete(call);
          const isRefused = KeyPoolExhaustedError.isInstance(error);
          ends[call] = isRefused
            ? `refused at ${clock.now()}: ${error.message} ${error.retryAfterMs}`
            : String(error);
        },
      );
    }
    await clock.advance(0);
  }
  await pool.close();
  await clock.advance(0);
  return ends;
}

describe.skipIf(server === undefined)('ScheduledKeyPool and RedisKeyPool', () => {
  it.each(seeds)('grant and refuse the same calls (seed %i)', { timeout: 120_000 }, async (seed) => {
    await client.flushAll();
    const script = makeSteps(seed);
    const options = { keys, limits, maxInFlight: 40, maxQueueLength: 30, maxLeaseMs, random: () => 0.5 };
    const inProcess = await play(script, (clock) => new ScheduledKeyPool({ ...options, clock }));
    const onRedis = await play(
      script,
      (clock) =>
        new RedisKeyPool({
          ...options,
          clock,
          client: standStill(client, clock),
          failClosed: true,
          timeoutMs: 60_000,
        }),
    );
    expect(inProcess.filter((end) => end.startsWith('granted')).length).toBeGreaterThan(20);
    expect(onRedis).toEqual(inProcess);
  });
});
