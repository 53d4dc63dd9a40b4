import { inspect } from 'node:util';
import type { MultimodalChat } from 'multimodal-chat';

const eventNames = ['attempt', 'retry', 'key', 'media', 'memory', 'reply', 'failure'] as const;

/** Whatever of a value could end up on a screen or in a file, hidden properties and causes included. */
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

/** Collects all that a chat tells its listeners. */
export function everyEventOf(chat: MultimodalChat): () => string {
  const heard: unknown[] = [];
  for (const name of eventNames) chat.on(name, (event: unknown) => void heard.push([name, event]));
  return () => heard.map(everythingOf).join('\n');
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
