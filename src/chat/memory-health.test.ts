import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { MemoryStats, MemoryStore } from '../memory/memory-store.js';
import { InMemoryStore } from '../testing/in-memory-store.js';
import { MemoryHealthRecord } from './memory-health.js';

let now = 0;
let record: MemoryHealthRecord;
beforeEach(() => {
  now = 1_000;
  record = new MemoryHealthRecord(() => now);
  vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

const storeWith = (stats: () => Promise<MemoryStats>): MemoryStore =>
  Object.assign(new InMemoryStore(), { stats });
const readable = storeWith(async () => ({ cacheSize: 1, pending: 0 }));
const unreadable = storeWith(() => Promise.reject(new Error('down')));

it('Memory is degraded until a turn is stored, and keeps its last error', async () => {
  record.failed(new Error('full'));
  expect(await record.stats(readable)).toMatchObject({ isDegraded: true, cacheSize: 1 });
  record.worked();
  expect(await record.stats(readable)).toMatchObject({
    isDegraded: false,
    lastError: { message: 'full', at: 1_000 },
  });
});

it('Memory that can be read a minute after its failure is degraded no longer', async () => {
  record.failed(new Error('full'));
  now += 59_999;
  expect((await record.stats(readable))?.isDegraded).toBe(true);
  now += 1;
  expect((await record.stats(unreadable))?.isDegraded).toBe(true);
  now += 60_000;
  expect((await record.stats(readable))?.isDegraded).toBe(false);
});

it('The later error of memory and of its background work is shown', async () => {
  const background = (at: number) =>
    storeWith(async () => ({ cacheSize: 0, pending: 0, lastError: { message: 'vectors', at } }));
  expect(await record.stats(background(500))).toMatchObject({
    isDegraded: false,
    lastError: { message: 'vectors' },
  });
  record.failed(new Error('full'));
  expect((await record.stats(background(500)))?.lastError?.message).toBe('full');
  expect((await record.stats(background(1_500)))?.lastError?.message).toBe('vectors');
});
