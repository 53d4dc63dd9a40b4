/** Memory on a Chroma server or Chroma Cloud, and the start of a server. Needs the package `chromadb`. */
export { ChromaMemoryStore } from './memory/chroma/chroma-memory-store.js';
export type { ChromaMemoryStoreOptions } from './memory/chroma/chroma-options.js';
export type { ChromaServerOptions } from './memory/chroma-server/chroma-server-options.js';
export {
  ChromaStartError,
  type ChromaStartErrorReason,
} from './memory/chroma-server/explain-start-failure.js';
export {
  type ManagedChromaServer,
  startChromaServer,
} from './memory/chroma-server/start-chroma-server.js';
