import type { ChatModel } from '../../model/chat-model.js';
import { startGeminiEmulator } from '../gemini-emulator/gemini-emulator.js';
import type { ChatModelFixture, ChatModelScenario } from './chat-model-contract.js';

const faults = {
  answers: undefined,
  thinks: undefined,
  'is-overloaded': 'overloaded',
  'refuses-the-key': 'bad-key',
  blocks: 'prompt-blocked',
  'ends-without-finish': 'no-finish',
  'breaks-off': 'reset-mid-body',
  hangs: 'stall',
} as const satisfies Record<ChatModelScenario, string | undefined>;

/** A fixture of `chatModelContract` for models of Gemini's REST API, with the emulator behind them. */
export async function geminiModelFixture(
  createModel: (baseUrl: string) => ChatModel,
): Promise<ChatModelFixture> {
  const emulator = await startGeminiEmulator();
  return {
    model: createModel(emulator.url),
    apiKey: 'AIzaSy-contract-key-that-nobody-may-see',
    modelName: 'gemini-3.8-flash',
    prepare(scenario) {
      emulator.say('One two three.');
      const fault = faults[scenario];
      if (fault) emulator.inject({ fault });
    },
    async cancelled() {
      await emulator.whenIdle();
      if (!emulator.journal.at(-1)?.aborted) throw new Error('The caller did not close the connection.');
    },
    callCount: () => emulator.journal.length,
    lastRequest: () => emulator.journal.at(-1)?.body,
    close: () => emulator.close(),
  };
}
