import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultimodalChat, type Turn, toTurn } from 'multimodal-chat';
import {
  FakeChatModel,
  makeFailure,
  memoryStoreContract,
  retryPolicyContract,
} from 'multimodal-chat/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BudgetRetryPolicy } from './budget-retry-policy.js';
import { JsonLinesStore } from './json-lines-store.js';

const makeTurn = (id: string, prompt: string): Turn =>
  toTurn({
    tenant: 'tenant',
    sessionId: 'session',
    id,
    createdAt: Date.UTC(2026, 10, 1),
    prompt,
    reply: 'Yes.',
  });

let directory: string;
let files = 0;
const nextFile = () => {
  files += 1;
  return join(directory, `memory-${files}.jsonl`);
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'custom-parts-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('JsonLinesStore', () => {
  for (const { name, run } of memoryStoreContract(() => JsonLinesStore.open(nextFile()))) it(name, run);

  it('has every turn after a restart, and drops a line that was cut off by a crash', async () => {
    const path = nextFile();
    const first = await JsonLinesStore.open(path);
    const turn = makeTurn('1', 'kept');
    await first.append(turn);
    await first.close();
    await appendFile(path, '{"id":"half a tu');

    const second = await JsonLinesStore.open(path);
    const next = makeTurn('2', 'after the crash');
    await second.append(next);
    expect(await second.recent(turn, { limit: 9 })).toEqual([turn, next]);
    await second.close();
    expect((await readFile(path, 'utf8')).trim().split('\n')).toHaveLength(2);
  });

  it('appends to the new file after it has forgotten something', async () => {
    const path = nextFile();
    const store = await JsonLinesStore.open(path);
    await store.append(makeTurn('1', 'gone'));
    await store.forget({ tenant: 'tenant' });
    const kept = makeTurn('2', 'kept');
    await store.append(kept);
    await store.close();
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(kept);
  });
});

describe('BudgetRetryPolicy', () => {
  const options = { budgetMs: 1_000, paceMs: 0 };
  for (const { name, run } of retryPolicyContract(() => new BudgetRetryPolicy(options))) it(name, run);

  it('waits between attempts unless the pool routes around the failure', () => {
    const policy = new BudgetRetryPolicy({ budgetMs: 60_000, paceMs: 200 });
    const context = {
      ...{ model: 'm', triedModels: ['m'], attempt: 1, elapsedMs: 0 },
      ...{ hasEmittedText: false, earlierFailures: [] },
    };
    const failure = makeFailure('rate-limit');
    expect(policy.next({ ...context, failure, isRoutedByPool: true })).toEqual({ delayMs: 0 });
    expect(policy.next({ ...context, failure, isRoutedByPool: false })).toEqual({ delayMs: 200 });
    expect(policy.next({ ...context, failure, isRoutedByPool: false, elapsedMs: 60_000 })).toBeUndefined();
  });

  it('retries faults of the service inside a chat', async () => {
    const overloaded = { failure: makeFailure('overloaded') };
    const model = new FakeChatModel([overloaded, overloaded, 'At last.']);
    const memory = await JsonLinesStore.open(nextFile());
    const chat = new MultimodalChat({
      model,
      memory,
      retry: new BudgetRetryPolicy({ budgetMs: 60_000, paceMs: 1 }),
    });
    expect(await chat.send({ sessionId: 's', prompt: 'Well?' })).toMatchObject({
      text: 'At last.',
      stored: true,
    });
    expect(await memory.recent({ tenant: 'default', sessionId: 's' }, { limit: 1 })).toMatchObject([
      { prompt: 'Well?' },
    ]);
    await chat.close();
    await memory.close();
  });
});
