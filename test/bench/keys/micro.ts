import { ScheduledKeyPool } from '../../../src/keys/scheduler/scheduled-key-pool.js';
import { quantile, rounded } from '../statistics.js';
import { modelName } from './quota-model.js';

const projects = 6;
const acquires = 20_000;
const warmUps = 5_000;
const waiting = 500;
const aborts = 200;

const keys = Array.from({ length: 9 }, (_, index) => ({
  key: `micro-key-${index}-0123456789`,
  project: `project-${index % projects}`,
}));

/** A granted call, from `acquire` to the lease in hand and to its settlement, in microseconds. */
async function measureAcquire(): Promise<{
  acquireP50Us: number;
  acquireP99Us: number;
  settleP50Us: number;
}> {
  const pool = new ScheduledKeyPool({ keys, limits: [{ rpm: 1_000_000, tpm: 1_000_000_000 }] });
  const acquired: number[] = [];
  const settled: number[] = [];
  for (let call = -warmUps; call < acquires; call += 1) {
    const startedAt = performance.now();
    const lease = await pool.acquire({ model: modelName, estimatedTokens: 1_000 });
    const heldAt = performance.now();
    lease.settle({ ok: true });
    if (call < 0) continue;
    acquired.push(heldAt - startedAt);
    settled.push(performance.now() - heldAt);
  }
  await pool.close();
  return {
    acquireP50Us: rounded(1_000 * quantile(acquired, 0.5), 1),
    acquireP99Us: rounded(1_000 * quantile(acquired, 0.99), 1),
    settleP50Us: rounded(1_000 * quantile(settled, 0.5), 1),
  };
}

/** From the abort of a waiting call, among hundreds that wait, to its rejection. */
async function measureAbort(): Promise<{ abortP50Ms: number; abortP99Ms: number }> {
  const pool = new ScheduledKeyPool({ keys, limits: [{ rpm: 50 }] });
  const request = { model: modelName, estimatedTokens: 10, deadline: Date.now() + 600_000 };
  const waits = Array.from({ length: projects * 50 + waiting }, () => {
    const controller = new AbortController();
    return { controller, lease: pool.acquire(request, { signal: controller.signal }) };
  });
  const queued = waits.slice(projects * 50);
  for (const { lease } of waits) lease.catch((reason: unknown) => reason);
  const took: number[] = [];
  for (const { controller, lease } of queued.slice(0, aborts)) {
    const startedAt = performance.now();
    controller.abort(new Error('The caller left.'));
    await lease.catch((reason: unknown) => reason);
    took.push(performance.now() - startedAt);
  }
  await pool.close();
  return { abortP50Ms: rounded(quantile(took, 0.5)), abortP99Ms: rounded(quantile(took, 0.99)) };
}

export const measureMicro = async () => ({ ...(await measureAcquire()), ...(await measureAbort()) });
