import { describe, expect, it } from 'vitest';
import { startGeminiEmulator } from '../gemini-emulator.js';
import { RecordedCall } from '../journal/recorded-call.js';
import { FaultScript } from './fault-script.js';
import type { FaultName } from './faults.js';

describe('FaultScript', () => {
  it('applies a fault only to calls of its key, model and operation', () => {
    const script = new FaultScript();
    script.add({ fault: 'overloaded', key: 'other', times: 9 });
    script.add({ fault: 'internal', model: 'other', times: 9 });
    script.add({ fault: 'deadline', operation: 'embed', times: 9 });
    const call = (fields: object) =>
      new RecordedCall({
        method: 'POST',
        path: '/',
        operation: 'generate',
        model: 'a-model',
        key: 'a-key',
        keyInUrl: false,
        stream: true,
        body: undefined,
        startedAt: 0,
        ...fields,
      });
    const fields = [{}, { key: 'other' }, { model: 'other' }, { operation: 'embed' }];
    expect(fields.map((each) => script.take(call(each))?.fault)).toEqual([
      undefined,
      'overloaded',
      'internal',
      'deadline',
    ]);
  });
});

describe('random faults', () => {
  it('are repeatable by seed and occur at their rates', async () => {
    const draw = async (seed: number) => {
      const script = new FaultScript({ seed, rates: { overloaded: 0.2, internal: 0.05 } });
      const call = { operation: 'generate' } as RecordedCall;
      return Array.from({ length: 4000 }, () => script.take(call)?.fault);
    };
    const drawn = await draw(7);
    expect(await draw(7)).toEqual(drawn);
    expect(await draw(8)).not.toEqual(drawn);
    const share = (fault: FaultName | undefined) => drawn.filter((one) => one === fault).length / 4000;
    expect(share('overloaded')).toBeCloseTo(0.2, 1);
    expect(share('internal')).toBeCloseTo(0.05, 1);
    expect(share(undefined)).toBeCloseTo(0.75, 1);
  });

  it('occur in a running emulator', async () => {
    const emulator = await startGeminiEmulator({ chaos: { rates: { internal: 1 } } });
    const response = await fetch(`${emulator.url}/v1beta/models/gemini-3.8-flash:generateContent`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'k' },
      body: '{}',
    });
    expect(response.status).toBe(500);
    await emulator.close();
  });
});
