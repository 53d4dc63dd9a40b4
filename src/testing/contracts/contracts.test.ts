import { describe, it } from 'vitest';
import { DefaultMediaProcessor } from '../../media/default-media-processor.js';
import { GeminiModel } from '../../model/gemini/gemini-model.js';
import { InMemoryStore } from '../in-memory-store.js';
import { chatModelContract } from './chat-model-contract.js';
import type { ContractCase } from './contract-case.js';
import { geminiModelFixture } from './gemini-model-fixture.js';
import { mediaProcessorContract } from './media-processor-contract.js';
import { memoryStoreContract } from './memory-store-contract.js';

const suites: readonly [string, readonly ContractCase[]][] = [
  ['InMemoryStore', memoryStoreContract(async () => new InMemoryStore())],
  ['GeminiModel', chatModelContract(() => geminiModelFixture((baseUrl) => new GeminiModel({ baseUrl })))],
  ['DefaultMediaProcessor', mediaProcessorContract(async () => new DefaultMediaProcessor())],
];

describe.each(suites)('%s keeps its contract', (_, cases) => {
  it.each(cases)('$name', ({ run }) => run());
});
