import { inspect } from 'node:util';
import type { ChatEvents, MultimodalChat } from 'multimodal-chat';

const eventNames = [
  'span-start',
  'span-end',
  'retry',
  'key',
  'media',
  'reply',
  'failure',
] as const satisfies readonly (keyof ChatEvents)[];

/** Everything of a value that could be shown or logged, hidden properties and causes included. */
export function everythingOf(value: unknown): string {
  const inspected = inspect(value, {
    depth: Number.POSITIVE_INFINITY,
    showHidden: true,
    maxArrayLength: Number.POSITIVE_INFINITY,
    maxStringLength: Number.POSITIVE_INFINITY,
  });
  const causes: unknown[] = [];
  for (let error = value; error instanceof Error && !causes.includes(error); error = error.cause)
    causes.push(error.message, error.stack, error.name, String(error), error);
  return [
    inspected,
    JSON.stringify(value) ?? '',
    ...causes.filter((cause) => typeof cause === 'string'),
  ].join('\n');
}

/** Collects every event of a chat. */
export function everyEventOf(chat: MultimodalChat): () => string {
  const events: unknown[] = [];
  for (const name of eventNames) chat.on(name, (event: unknown) => void events.push([name, event]));
  return () => events.map(everythingOf).join('\n');
}

/** Collects the warnings of this process. */
export function everyWarning(): { shown(): string; stop(): void } {
  const warnings: Error[] = [];
  const listen = (warning: Error) => void warnings.push(warning);
  process.on('warning', listen);
  return {
    shown: () => warnings.map(everythingOf).join('\n'),
    stop: () => void process.off('warning', listen),
  };
}
