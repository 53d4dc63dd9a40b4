import type { ConversationIndex } from '../rank/conversation-index.js';
import { packTermBlock } from '../rank/pack-term-block.js';
import { TermBlock } from '../rank/term-block.js';
import { textOfBody } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sequenceOf, turnKey, turnsPerBlock } from './schema.js';
import type { SessionState } from './session-state.js';

/** The statements that fill the index of a session from the file. */

/** The stored blocks of terms among the `count` from this sequence on, by the sequence of their first turn. */
export function readTermBlocks(
  database: MemoryDatabase,
  session: number,
  sequence: number,
  count: number,
): ReadonlyMap<number, TermBlock> {
  const rows = database.all(
    'SELECT key, terms FROM term_blocks WHERE key BETWEEN ? AND ?',
    turnKey(session, sequence),
    turnKey(session, sequence) + count * turnsPerBlock - 1,
  );
  const blocks = new Map<number, TermBlock>();
  for (const { key, terms } of rows) {
    const block = TermBlock.unpack(terms as ArrayBuffer);
    if (block) blocks.set(sequenceOf(key as number), block);
  }
  return blocks;
}

/** Adds the turns from one sequence to before another. */
export function addTurns(
  database: MemoryDatabase,
  index: ConversationIndex,
  session: number,
  from: number,
  to: number,
): void {
  for (const { sequence, text } of documents(database, session, from, to)) index.add(sequence, text);
}

/** The terms of a whole block of turns, as they are stored. */
export function packTurns(database: MemoryDatabase, session: number, sequence: number): Uint8Array {
  return packTermBlock(documents(database, session, sequence, sequence + turnsPerBlock), sequence);
}

/**
 * Stores the terms of a block. Runs inside a transaction of its caller; does nothing if turns were
 * forgotten since `state` was read.
 */
export function storeTermBlock(
  database: MemoryDatabase,
  state: SessionState,
  sequence: number,
  packed: Uint8Array,
): void {
  const now = database.first('SELECT epoch FROM sessions WHERE id = ?', state.id);
  if (now?.epoch !== state.epoch) return;
  const key = turnKey(state.id, sequence);
  database.run('INSERT OR REPLACE INTO term_blocks (key, terms) VALUES (?, ?)', key, packed);
}

function documents(database: MemoryDatabase, session: number, from: number, to: number) {
  const rows = database.all(
    'SELECT key, body FROM turns WHERE key BETWEEN ? AND ? ORDER BY key',
    turnKey(session, from),
    turnKey(session, to - 1),
  );
  return rows.map(({ key, body }) => ({
    sequence: sequenceOf(key as number),
    text: textOfBody(body as string),
  }));
}

const vectorsAtATime = 1024;

/**
 * Adds the vectors of at most 1,024 turns from this sequence on; returns the sequence to go on with, or
 * undefined at the end. They come in one row, which takes a fifth of the time of many.
 */
export function addVectors(
  database: MemoryDatabase,
  index: ConversationIndex,
  model: number,
  session: number,
  sequence: number,
): number | undefined {
  const row = database.first(
    `SELECT json_group_array(key - ?) AS sequences, CAST(group_concat(vector, '') AS BLOB) AS vectors
     FROM (SELECT key, vector FROM vectors WHERE key BETWEEN ? AND ? AND model = ? ORDER BY key LIMIT ?)`,
    firstKey(session),
    firstKey(session) + sequence,
    lastKey(session),
    model,
    vectorsAtATime,
  );
  const sequences = JSON.parse(row?.sequences as string) as readonly number[];
  if (sequences.length > 0) index.setVectors(sequences, row?.vectors as Uint8Array);
  return sequences.length < vectorsAtATime ? undefined : (sequences.at(-1) as number) + 1;
}
