import type { ModelEvent, ModelRequest, ModelStreamOptions } from '../../../model/chat-model.js';
import type { ChatModelFixture } from './fixture.js';

/** The text of the scenario `answers`. */
export const answer = 'One two three.';

export const question = userMessage('Count to three, please.');

export function userMessage(text: string): ModelRequest['messages'][number] {
  return { role: 'user', parts: [{ type: 'text', text }] };
}

export const requestOf = (
  { modelName: model }: ChatModelFixture,
  generation: ModelRequest['generation'] = {},
  messages: ModelRequest['messages'] = [question],
  continuation?: ModelRequest['continuation'],
): ModelRequest => ({ model, messages, generation, ...(continuation !== undefined && { continuation }) });

export const keyOf = ({ apiKey, model }: ChatModelFixture): ModelStreamOptions =>
  model.needsKey ? { apiKey } : {};

export async function collect(
  fixture: ChatModelFixture,
  generation?: ModelRequest['generation'],
  options: ModelStreamOptions = {},
  messages?: ModelRequest['messages'],
  continuation?: ModelRequest['continuation'],
): Promise<{ events: readonly ModelEvent[]; error: unknown }> {
  const events: ModelEvent[] = [];
  try {
    const request = requestOf(fixture, generation, messages, continuation);
    for await (const event of fixture.model.stream(request, { ...keyOf(fixture), ...options }))
      events.push(event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

export const textOf = (events: readonly ModelEvent[]) =>
  events.map((event) => (event.type === 'text' ? event.text : '')).join('');
