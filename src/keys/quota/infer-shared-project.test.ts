import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { LeaseOutcome } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';

const model = 'gemini-3.8-flash';
const hourMs = 3_600_000;
const limit = 20;

/** Keys whose project refuses calls after 20 answers in a day. */
function open(owners: Readonly<Record<string, string>>, keys: readonly KeySpec[] = Object.keys(owners)) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({ keys, clock, random: () => 0.5 });
  const answered = new Map<string, number>();
  const refused = new Map<string, number>();
  /** One call with each usable key, all at once. Returns their number. */
  const callAll = async () => {
    const request = { model, estimatedTokens: 10, deadline: clock.now() };
    const asked = await Promise.allSettled(Object.keys(owners).map(() => pool.acquire(request)));
    await clock.advance(1_000);
    const leases = asked.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    for (const lease of leases) {
      const owner = owners[lease.key.value] ?? '';
      const isSpent = (answered.get(owner) ?? 0) >= limit;
      const counts = isSpent ? refused : answered;
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      lease.settle(isSpent ? dailyRefusal : { ok: true });
    }
    await clock.advance(3_000);
    return leases.length;
  };
  /** Calls until no key is usable. */
  const spend = async () => {
    while ((await callAll()) > 0);
  };
  const projects = async () => new Set((await pool.stats()).keys.map(({ project }) => project)).size;
  return { clock, pool, spend, projects, refused };
}

const dailyRefusal: LeaseOutcome = {
  ok: false,
  sent: true,
  failure: { kind: 'daily-quota', scope: 'project-model', message: 'Spent.', learned: { rpd: limit } },
};

const oneProject = {
  'first-key-of-one-0001': 'one',
  'other-key-of-one-0002': 'one',
  'third-key-of-one-0003': 'one',
};

describe('inferSharedProject, with unlabelled keys', () => {
  it('joins keys when their shared daily quota is spent, so that none is refused again that day', async () => {
    const { clock, projects, refused, spend } = open(oneProject);
    await spend();
    expect(await projects()).toBe(1);
    const inVain = refused.get('one');
    for (let hour = 0; hour < 6; hour += 1) {
      await clock.advance(hourMs);
      await spend();
    }
    expect(refused.get('one')).toBe(inVain);
  });

  it('does not join a key of another project that is spent by its own calls', async () => {
    const { projects, spend } = open({ ...oneProject, 'the-key-of-two-00004': 'two' });
    await spend();
    expect(await projects()).toBe(2);
  });

  it('does not join keys if one succeeded after the other had been refused', async () => {
    const { clock, pool, projects } = open({ 'key-of-alpha-000001': 'alpha', 'key-of-beta-0000002': 'beta' });
    const settle = async (outcome: LeaseOutcome, project: string) => {
      const lease = await pool.acquire({ model, estimatedTokens: 10, project });
      await clock.advance(1_000);
      lease.settle(outcome);
    };
    const [alpha = '', beta = ''] = (await pool.stats()).keys.map(({ project }) => project);
    for (let i = 0; i < limit / 2; i += 1)
      for (const project of [alpha, beta]) await settle({ ok: true }, project);
    await settle(dailyRefusal, alpha);
    await settle({ ok: true }, beta);
    await settle(dailyRefusal, beta);
    expect(await projects()).toBe(2);
  });

  it('does not join keys of projects that the user named', async () => {
    const owners = { 'first-key-of-one-0001': 'one', 'other-key-of-one-0002': 'one' };
    const keys = Object.keys(owners).map((key, place) => ({ key, project: `named-${place}` }));
    const { projects, spend } = open(owners, keys);
    await spend();
    expect(await projects()).toBe(2);
  });
});
