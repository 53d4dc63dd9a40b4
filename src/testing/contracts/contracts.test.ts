import { afterAll, describe, it } from 'vitest';
import { DefaultMediaProcessor } from '../../media/default-media-processor.js';
import { InProcessMediaArchive } from '../../memory/archive/in-process-media-archive.js';
import { GeminiEmbedder } from '../../model/gemini/gemini-embedder.js';
import { GeminiModel } from '../../model/gemini/gemini-model.js';
import { FakeEmbedder } from '../fake-embedder.js';
import { FakeKeyPool } from '../fake-key-pool.js';
import { startGeminiEmulator } from '../gemini-emulator/gemini-emulator.js';
import { InMemoryStore } from '../in-memory-store.js';
import type { ChatModelFixture } from './chat-model/fixture.js';
import { chatModelContract } from './chat-model-contract.js';
import type { ContractCase } from './contract-case.js';
import { embedderContract } from './embedder-contract.js';
import { geminiModelFixture } from './gemini-model-fixture.js';
import { mediaArchiveContract } from './media-archive-contract.js';
import { mediaProcessorContract } from './media-processor-contract.js';
import { memoryStoreContract } from './memory-store-contract.js';

const emulator = await startGeminiEmulator();
afterAll(() => emulator.close());
const createGeminiEmbedder = async () =>
  new GeminiEmbedder({ keyPool: new FakeKeyPool(), baseUrl: emulator.url });

const createGeminiModel = (): Promise<ChatModelFixture> =>
  geminiModelFixture((baseUrl) => new GeminiModel({ baseUrl }));

const suites: readonly [string, readonly ContractCase[]][] = [
  ['InMemoryStore', memoryStoreContract(async () => new InMemoryStore())],
  ['GeminiModel', chatModelContract(createGeminiModel)],
  ['GeminiEmbedder', embedderContract(createGeminiEmbedder)],
  ['FakeEmbedder', embedderContract(async () => new FakeEmbedder())],
  ['InProcessMediaArchive', mediaArchiveContract(async (options) => new InProcessMediaArchive(options))],
  ['DefaultMediaProcessor', mediaProcessorContract(async () => new DefaultMediaProcessor())],
];

describe.each(suites)('%s keeps its contract', (_, cases) => {
  it.each(cases)('$name', ({ run }) => run());
});
