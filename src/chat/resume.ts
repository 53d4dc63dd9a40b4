import { InvalidInputError, MemoryError } from '../core/errors.js';
import type { JsonValue } from '../core/message.js';
import type { Conversation, Turn } from '../core/turn.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { TurnRequest } from '../turn/turn-request.js';

interface Decided extends Conversation {
  readonly turnId: string;
  readonly approvals: Readonly<Record<string, boolean>>;
  readonly results: Readonly<Record<string, JsonValue>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The turn that waits for these decisions, with them.
 *
 * @throws InvalidInputError if the conversation has gone on, the turn is answered, or a decision is about no call of it.
 */
export async function findWaiting(
  memory: MemoryStore | undefined,
  { approvals, results, sessionId, signal, tenant, turnId }: Decided,
): Promise<NonNullable<TurnRequest['resume']>> {
  if (memory === undefined) throw new MemoryError('Memory is off, so no turn waits for decisions.');
  const [turn] = await memory.recent({ tenant, sessionId }, { limit: 1, signal });
  if (turn?.id !== turnId) {
    throw new InvalidInputError(
      `The turn ${turnId} is not the last one of its conversation, so its calls can no longer be decided. Ask anew.`,
    );
  }
  const { all, open } = callsOf(turn);
  // Without an open call, an answer may still have broken off after its tools ran.
  if (open.length === 0 && turn.messages.at(-1)?.role !== 'tool') {
    throw new InvalidInputError(`The turn ${turnId} is answered and waits for no decision.`);
  }
  // One about a call that has a result is a repetition, and changes nothing.
  const other = [...Object.keys(approvals), ...Object.keys(results)].find((callId) => !all.includes(callId));
  if (other !== undefined) {
    throw new InvalidInputError(`The turn has no call ${other}. Open are: ${open.join(', ') || 'none'}.`);
  }
  return {
    turn,
    decisions: { approvals: new Map(Object.entries(approvals)), results: new Map(Object.entries(results)) },
  };
}

/** Ids of the calls of a turn, and of those that have no result. */
function callsOf({ messages }: Turn): { readonly all: readonly string[]; readonly open: readonly string[] } {
  const parts = messages.flatMap((message) => message.parts);
  const done = new Set(parts.flatMap((part) => (part.type === 'tool-result' ? [part.callId] : [])));
  const all = parts.flatMap((part) => (part.type === 'tool-call' ? [part.callId] : []));
  return { all, open: all.filter((callId) => !done.has(callId)) };
}
