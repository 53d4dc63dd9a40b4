import { BlockedError, ModelCallError } from '../../src/core/errors.js';
import type { ModelEvent, ModelRequest } from '../../src/model/chat-model.js';
import type { GeminiModel } from '../../src/model/gemini/gemini-model.js';
import type { GeminiEmulator, RecordedCall } from '../../src/testing.js';

export const apiKey = 'AIzaSy-test-key-0123456789';
export const chatModel = 'gemini-3.8-flash';

/** A request with one short prompt. */
export const ask = (text: string, more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: chatModel,
  messages: [{ role: 'user', parts: [{ type: 'text', text }] }],
  generation: {},
  ...more,
});

/** Runs a call to its end; returns what it yielded and threw. */
export async function run(model: GeminiModel, request = ask('hello'), signal?: AbortSignal) {
  const events: ModelEvent[] = [];
  let error: unknown;
  try {
    for await (const event of model.stream(request, { apiKey, signal })) events.push(event);
  } catch (thrown) {
    error = thrown;
  }
  const joined = (type: 'text' | 'thought') =>
    events.flatMap((event) => (event.type === type ? [event.text] : [])).join('');
  const finish = events.find((event) => event.type === 'finish');
  const failure = ModelCallError.isInstance(error) ? error.failure : undefined;
  const end = BlockedError.isInstance(error)
    ? `blocked: ${error.reason}`
    : failure
      ? `${failure.kind}/${failure.scope}: ${failure.reason}`
      : (finish?.finishReason ?? error);
  return { events, error, failure, finish, end, text: joined('text'), thoughts: joined('thought') };
}

/** The last call that the emulator received, once it has ended. */
export async function lastCallTo(emulator: GeminiEmulator): Promise<RecordedCall> {
  await emulator.whenIdle();
  const call = emulator.journal.at(-1);
  if (!call) throw new Error('The emulator has received no call.');
  return call;
}
