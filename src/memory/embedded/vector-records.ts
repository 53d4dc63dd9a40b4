import { LRUCache } from 'lru-cache';
import type { Embedder } from '../embedder.js';
import type { ConversationIndex } from '../rank/conversation-index.js';
import { packVector } from '../rank/vector-table.js';
import type { EmbeddingSource } from '../shared/embedding-backlog.js';
import { textOfBody } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sessionOf } from './schema.js';

/** The number under which the file knows an embedder. */
export async function registerModel(database: MemoryDatabase, embedder: Embedder): Promise<number> {
  const find = () =>
    database.first(
      { id: 'integer' },
      'FROM models WHERE name = ? AND dimensions = ?',
      embedder.model,
      embedder.dimensions,
    )?.id;
  const known = database.read(find);
  if (known !== undefined) return known;
  return database.write(() => {
    database.run(
      'INSERT INTO models (name, dimensions) VALUES (?, ?) ON CONFLICT DO NOTHING',
      embedder.model,
      embedder.dimensions,
    );
    return find() as number;
  });
}

/** Counts the turns, the sessions, and the turns without a vector of this model (0 for no model). */
export function countTurns(database: MemoryDatabase, model: number) {
  return database.read(() => {
    const columns = { sessions: 'integer:count(*)', turns: 'integer:coalesce(sum(turns), 0)' } as const;
    const row = database.first(columns, 'FROM sessions');
    return {
      turns: row?.turns ?? 0,
      sessions: row?.sessions ?? 0,
      pending: model === 0 ? 0 : countUnembedded(database, model),
    };
  });
}

function countUnembedded(database: MemoryDatabase, model: number): number {
  const row = database.first(
    { count: 'integer:count(*)' },
    'FROM turns WHERE model < ? OR model > ?',
    model,
    model,
  );
  return row?.count ?? 0;
}

/** Drops the vectors of other models, including those of turns that this model refused. */
export function dropOtherModels(database: MemoryDatabase, model: number): void {
  database.run('DELETE FROM vectors WHERE model <> ?', model);
  database.run('UPDATE turns SET model = 0 WHERE model NOT IN (0, ?)', model);
}

/** The file's turns whose vector is missing or of another model, as work for the backlog. */
export function unembeddedTurns(database: MemoryDatabase, model: number): EmbeddingSource<number> {
  /** Of the turns as they were read: one that was replaced meanwhile needs another vector. */
  const times = new LRUCache<number, number>({ max: 10_000 });
  return {
    async next(limit) {
      const columns = { key: 'integer', created_at: 'integer', body: 'text' } as const;
      const rest = 'FROM turns WHERE model < ? OR model > ? LIMIT ?';
      return database.read(() =>
        database.all(columns, rest, model, model, limit).map(({ body, created_at, key }) => {
          times.set(key, created_at);
          return { key, text: textOfBody(body) };
        }),
      );
    },

    async store(vectors) {
      await database.write(() => {
        const sessions = new Set<number>();
        for (const { key, vector } of vectors) {
          const update = 'UPDATE turns SET model = ? WHERE key = ? AND created_at = ?';
          if (database.run(update, model, key, times.get(key)) === 0) continue;
          database.run(
            'INSERT INTO vectors (key, model, vector) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET model = excluded.model, vector = excluded.vector',
            key,
            model,
            packVector(vector),
          );
          sessions.add(sessionOf(key));
        }
        for (const session of sessions) {
          database.run('UPDATE sessions SET vector_version = vector_version + 1 WHERE id = ?', session);
        }
      });
    },
  };
}

const vectorsAtATime = 1024;

/**
 * Adds the vectors of at most 1,024 turns from a sequence on; returns the sequence to go on with, or
 * undefined at the end. They come in one row, which takes a fifth of the time of many.
 */
export function readVectors(
  database: MemoryDatabase,
  index: ConversationIndex,
  of: { readonly model: number; readonly session: number; readonly from: number },
): number | undefined {
  const first = firstKey(of.session);
  const row = database.first(
    { keys: 'text:json_group_array(key)', vectors: "blob:coalesce(group_concat(vector, ''), '')" },
    `FROM (SELECT key, vector FROM vectors WHERE key BETWEEN ? AND ? AND model = ? ORDER BY key LIMIT ?)`,
    first + of.from,
    lastKey(of.session),
    of.model,
    vectorsAtATime,
  );
  const keys = JSON.parse(row?.keys ?? '[]') as readonly number[];
  const sequences = keys.map((key) => key - first);
  if (row && sequences.length > 0) index.setVectors(sequences, row.vectors);
  return sequences.length < vectorsAtATime ? undefined : (sequences.at(-1) as number) + 1;
}
