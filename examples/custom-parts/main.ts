/**
 * Runs a chat with two custom parts, a memory and a retry policy, on the emulator:
 * `npx tsx examples/custom-parts/main.ts`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultimodalChat } from 'multimodal-chat';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { BudgetRetryPolicy } from './budget-retry-policy.js';
import { JsonLinesStore } from './json-lines-store.js';

const directory = await mkdtemp(join(tmpdir(), 'custom-parts-'));
const emulator = await startGeminiEmulator();

async function ask(prompt: string): Promise<string> {
  // You close the parts that you pass in.
  const memory = await JsonLinesStore.open(join(directory, 'memory.jsonl'));
  const chat = new MultimodalChat({
    keys: ['any-key-will-do'],
    baseUrl: emulator.url,
    memory,
    retry: new BudgetRetryPolicy({ budgetMs: 60_000, paceMs: 200 }),
  });
  chat.on('retry', ({ failure, delayMs }) => console.log(`  again in ${delayMs} ms: ${failure.message}`));
  const { text } = await chat.send({ sessionId: 'night-shift', prompt });
  await chat.close();
  await memory.close();
  return text;
}

emulator.inject({ fault: 'overloaded', times: 2 });
console.log(await ask('My boat is called Albatross.'));
console.log(await ask('What is my boat called?'));

await emulator.close();
await rm(directory, { recursive: true });
