import type { Conversation, Turn } from '../../core/turn.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import type { RankedSession, SessionSource } from '../shared/ranked-sessions.js';
import { DamagedFileError, explainDatabaseFailure } from './explain-failure.js';
import type { MemoryDatabase } from './memory-database.js';
import type { SessionState } from './session-state.js';
import { readTerms, storeTerms } from './term-records.js';
import { findSession, turnsAt } from './turn-records.js';
import { readVectors } from './vector-records.js';

/** The file, and the number of the model whose vectors are used (0 for none). */
export interface IndexedDatabase {
  readonly database: MemoryDatabase;
  readonly model: number;
}

/** The index of a session, and how far the file was read. */
export class EmbeddedSession implements RankedSession {
  readonly index: ConversationIndex;
  readonly database: MemoryDatabase;
  readonly id: number;
  readonly epoch: number;
  nextSequence = 0;
  vectorVersion = 0;

  constructor(database: MemoryDatabase, { id, epoch }: SessionState, dimensions: number | undefined) {
    this.database = database;
    this.index = new ConversationIndex({ dimensions });
    this.id = id;
    this.epoch = epoch;
  }

  get bytes(): number {
    return this.index.bytes;
  }
}

/** Reads the indexes of sessions from the file. Other processes may write to it at any time. */
export class SessionReader implements SessionSource<EmbeddedSession> {
  readonly #open: () => Promise<IndexedDatabase>;
  readonly #dimensions: number | undefined;

  constructor(open: () => Promise<IndexedDatabase>, dimensions: number | undefined) {
    this.#open = open;
    this.#dimensions = dimensions;
  }

  async read(
    conversation: Conversation,
    cached: EmbeddedSession | undefined,
    signal: AbortSignal | undefined,
  ): Promise<EmbeddedSession | undefined> {
    const { database, model } = await this.#open();
    let session = cached;
    for (;;) {
      const now = database.read(() => findSession(database, conversation));
      if (!now) return undefined;
      if (session?.id !== now.id || session.epoch !== now.epoch) {
        session = new EmbeddedSession(database, now, this.#dimensions);
      }
      if (session.nextSequence < now.next_sequence) await addTurns(session, now);
      else if (model > 0 && session.vectorVersion !== now.vector_version)
        await addVectors(session, now, model);
      else if (session.index.size !== now.turns) throw missingTurns(database.path);
      else return session;
      signal?.throwIfAborted();
    }
  }

  turnsAt({ database, id }: EmbeddedSession, sequences: readonly number[]): ReadonlyMap<number, Turn> {
    return database.read(() => turnsAt(database, id, sequences));
  }
}

const missingTurns = (path: string) =>
  explainDatabaseFailure('read', path, new DamagedFileError('turns of the conversation are missing'));

/** Long sessions are read in portions, so as not to block the event loop. */
const pause = () => new Promise((resolve) => setImmediate(resolve));

async function addTurns(session: EmbeddedSession, now: SessionState): Promise<void> {
  const { database, id, index, nextSequence } = session;
  const portion = database.read(() => readTerms(database, id, nextSequence, now.next_sequence));
  index.addTerms(portion.sequences, portion.lines);
  session.nextSequence = portion.next ?? now.next_sequence;
  if (portion.missing.length > 0) await storeTerms(database, portion.missing);
  if (portion.next !== undefined) await pause();
}

async function addVectors(session: EmbeddedSession, now: SessionState, model: number): Promise<void> {
  const { database, id, index } = session;
  let next = index.firstWithoutVector();
  while (next !== undefined) {
    const from = next;
    next = database.read(() => readVectors(database, index, { model, session: id, from }));
    if (next !== undefined) await pause();
  }
  session.vectorVersion = now.vector_version;
}
