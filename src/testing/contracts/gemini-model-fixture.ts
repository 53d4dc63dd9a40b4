import type { ChatModel } from '../../model/chat-model.js';
import { callPart, codeParts, groundingOf, picturePart } from '../gemini-emulator/answer/answer-parts.js';
import type { AnswerContent } from '../gemini-emulator/answer/emulated-answer.js';
import { startGeminiEmulator } from '../gemini-emulator/gemini-emulator.js';
import type { ChatModelFixture, ChatModelScenario, ExtraScenario } from './chat-model/fixture.js';

const faults = {
  answers: undefined,
  thinks: undefined,
  'is-overloaded': 'overloaded',
  'refuses-the-key': 'bad-key',
  blocks: 'prompt-blocked',
  'ends-without-finish': 'no-finish',
  'breaks-off': 'reset-mid-body',
  hangs: 'stall',
} as const satisfies Record<Exclude<ChatModelScenario, ExtraScenario>, string | undefined>;

const answer = 'One two three.';
const cited = 'Grüße: one two three.';

const answers: Readonly<Record<ExtraScenario, AnswerContent>> = {
  draws: { parts: ['A cat:', picturePart('a cat')] },
  'runs-code': { parts: [...codeParts('print(6 * 7)', '42\n'), 'It is 42.'] },
  'calls-functions': { parts: ['7', '8'].map((id) => callPart('find_order', { id })) },
  cites: {
    parts: [cited],
    candidate: {
      groundingMetadata: groundingOf(cited, [
        { chunk: { web: { uri: 'https://example.com/', title: 'example.com' } }, supports: ['two'] },
      ]),
    },
  },
  'omits-counts': {
    parts: [answer],
    usage: { candidatesTokenCount: undefined, thoughtsTokenCount: undefined, totalTokenCount: undefined },
  },
  continues: { parts: [answer], continueAfterCharacters: 8 },
};

const isExtra = (scenario: ChatModelScenario): scenario is ExtraScenario => scenario in answers;

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
      emulator.say(isExtra(scenario) ? answers[scenario] : answer);
      const fault = isExtra(scenario) ? undefined : faults[scenario];
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
