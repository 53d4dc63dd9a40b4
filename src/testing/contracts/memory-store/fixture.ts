import { randomUUID } from 'node:crypto';
import { type Conversation, type Turn, type TurnRecord, toTurn } from '../../../core/turn.js';
import type { MemoryStore } from '../../../memory/memory-store.js';
import type { ContractCase } from '../contract-case.js';

/** A case on a store over empty storage, which is closed afterwards. */
export type WithStore = (name: string, check: (store: MemoryStore) => Promise<void>) => ContractCase;

export const conversation: Conversation = { tenant: 'tenant', sessionId: 'session' };

/** A turn with what matters to a test; the rest is filled in. */
export function makeTurn(fields: Partial<Turn> = {}): Turn {
  return toTurn({
    ...conversation,
    id: randomUUID(),
    createdAt: Date.UTC(2026, 10, 1),
    prompt: 'What is the capital of France?',
    reply: 'Paris.',
    ...fields,
  } as TurnRecord);
}

export const idsOf = (turns: readonly Turn[]): string[] => turns.map(({ id }) => id);
