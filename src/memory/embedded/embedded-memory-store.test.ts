import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'vitest';
import { memoryStoreContract } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-memory-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const createOnDisk = async () => new EmbeddedMemoryStore({ path: join(directory, 'deep', 'memory.db') });

describe('EmbeddedMemoryStore on disk', () => {
  for (const { name, run } of memoryStoreContract(createOnDisk, { reopen: createOnDisk })) it(name, run);
});

describe('EmbeddedMemoryStore in memory', () => {
  const create = async () => new EmbeddedMemoryStore({ path: ':memory:' });
  for (const { name, run } of memoryStoreContract(create)) it(name, run);
});
