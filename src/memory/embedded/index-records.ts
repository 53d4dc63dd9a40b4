import type { Turn } from '../../types.js';
import type { ConversationIndex } from '../rank/conversation-index.js';
import { makeTermBlock, packTermBlock, unpackTermBlock } from '../rank/term-block.js';
import { packedBytes } from '../rank/vector-table.js';
import { turnText } from '../turn-text.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sequenceOf, turnKey, turnsPerBlock } from './schema.js';
import type { SessionState } from './session-indexes.js';

/** The statements that fill the index of a session from the file. */

/** Adds the block of terms that begins with this sequence; false where none is stored. */
export function addTermBlock(
  database: MemoryDatabase,
  index: ConversationIndex,
  session: number,
  sequence: number,
): boolean {
  const row = database.first('SELECT terms FROM term_blocks WHERE key = ?', turnKey(session, sequence));
  const block = row && unpackTermBlock(row.terms as Uint8Array, sequence);
  if (block) index.addBlock(block);
  return block !== undefined;
}

/** Adds the turns from this sequence to the end of its block. */
export function addTurns(
  database: MemoryDatabase,
  index: ConversationIndex,
  session: number,
  sequence: number,
): void {
  index.addBlock(makeTermBlock(documentsFrom(database, session, sequence)));
}

/** Stores the terms of a block of turns. Nothing happens where turns went since `state` was read. */
export async function storeTermBlock(
  database: MemoryDatabase,
  state: SessionState,
  sequence: number,
): Promise<void> {
  const block = database.read(() => makeTermBlock(documentsFrom(database, state.id, sequence)));
  const packed = packTermBlock(block, sequence);
  await database.write(() => {
    const now = database.first('SELECT epoch FROM sessions WHERE id = ?', state.id);
    if (now?.epoch !== state.epoch) return;
    const key = turnKey(state.id, sequence);
    database.run('INSERT OR REPLACE INTO term_blocks (key, terms) VALUES (?, ?)', key, packed);
  });
}

function documentsFrom(database: MemoryDatabase, session: number, sequence: number) {
  const endOfBlock = sequence - (sequence % turnsPerBlock) + turnsPerBlock - 1;
  const rows = database.all(
    'SELECT key, body FROM turns WHERE key BETWEEN ? AND ? ORDER BY key',
    turnKey(session, sequence),
    turnKey(session, endOfBlock),
  );
  return rows.map(({ key, body }) => ({
    sequence: sequenceOf(key as number),
    text: turnText(JSON.parse(body as string) as Turn),
  }));
}

const vectorsAtATime = 512;

/**
 * Adds the vectors of at most 512 turns from this sequence on; gives the sequence to go on with, or
 * nothing at the end. They come in one row, which takes a fifth of the time of many.
 */
export function addVectors(
  database: MemoryDatabase,
  index: ConversationIndex,
  { model, dimensions }: { readonly model: number; readonly dimensions: number },
  session: number,
  sequence: number,
): number | undefined {
  const row = database.first(
    `SELECT group_concat(key) AS keys, CAST(group_concat(vector, '') AS BLOB) AS vectors
     FROM (SELECT key, vector FROM vectors WHERE key BETWEEN ? AND ? AND model = ? ORDER BY key LIMIT ?)`,
    firstKey(session) + sequence,
    lastKey(session),
    model,
    vectorsAtATime,
  );
  if (typeof row?.keys !== 'string') return undefined;
  const sequences = row.keys.split(',').map((key) => sequenceOf(Number(key)));
  const vectors = row.vectors as Uint8Array;
  const size = packedBytes(dimensions);
  for (const [at, each] of sequences.entries()) {
    index.setVector(each, vectors.subarray(at * size, (at + 1) * size));
  }
  return sequences.length < vectorsAtATime ? undefined : (sequences.at(-1) as number) + 1;
}
