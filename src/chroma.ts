/** Memory on a Chroma server or Chroma Cloud. Needs the package `chromadb`. */
export { ChromaMemoryStore, type ChromaMemoryStoreOptions } from './memory/chroma/chroma-memory-store.js';
