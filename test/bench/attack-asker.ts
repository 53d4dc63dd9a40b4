import { setTimeout as sleep } from 'node:timers/promises';

/** What became of the text questions that were asked beside an attack. */
export interface AskedTexts {
  readonly latencies: readonly number[];
  readonly failed: number;
}

const [infer = '', seconds = ''] = process.argv.slice(2);
const latencies: number[] = [];
let failed = 0;
for (const endsAt = performance.now() + Number(seconds) * 1000; performance.now() < endsAt; ) {
  const startedAt = performance.now();
  const response = await fetch(infer, {
    method: 'POST',
    body: JSON.stringify({ prompt: 'What is the time?' }),
    headers: { 'content-type': 'application/json' },
  }).catch(() => undefined);
  await response?.text();
  if (response?.status === 200) latencies.push(performance.now() - startedAt);
  else failed += 1;
  await sleep(50);
}
process.send?.({ latencies, failed } satisfies AskedTexts);
process.disconnect();
