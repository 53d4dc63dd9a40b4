/**
 * What the stores of this package rank turns with, for a memory store of your own: it finds the turns that
 * bear on a prompt as well as they do, whatever database they are in.
 */
export {
  ConversationIndex,
  type ConversationIndexOptions,
  type Ranked,
} from './memory/rank/conversation-index.js';
export { termsOf } from './memory/rank/terms.js';
export type { Tuning } from './memory/rank/tuning.js';
export { packVector } from './memory/rank/vector-table.js';
export { AppendQueue } from './memory/shared/append-queue.js';
export {
  type DrainOptions,
  EmbeddingBacklog,
  type EmbeddingSource,
  type Unembedded,
} from './memory/shared/embedding-backlog.js';
export type { QueryEmbedding } from './memory/shared/query-vector.js';
export { type RankedSession, RankedSessions, type SessionSource } from './memory/shared/ranked-sessions.js';
export { textOfTurn } from './memory/shared/turn-body.js';
