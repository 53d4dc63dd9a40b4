import type { Excerpt } from './excerpt.js';

/** A source whose bytes are at hand, in memory or in a file. */
export interface LocalSource {
  readonly name: string;
  /** As the sender claims. */
  readonly mimeType: string | undefined;
  /** The requested part; `undefined` for the whole. */
  readonly excerpt: Excerpt | undefined;
  readonly bytes: number;
  /** Equal only for equal bytes. */
  readonly identity: string;
  /** Hex SHA-256 of all bytes; of large sources of their length and of samples. */
  fingerprint(): Promise<string>;
  /** Hex SHA-256 of all bytes, however large: proves that two sources are the same. */
  digest(): Promise<string>;
  /** The first bytes, enough to tell the format. */
  readonly head: Uint8Array;
  /** All bytes, if they are in memory anyway. */
  readonly data: Uint8Array | undefined;
  /** All bytes. Large files are refused, so check the kind first. */
  read(): Promise<Uint8Array>;
  /** A file with the bytes; written to the workspace if there is none yet. */
  path(): Promise<string>;
}

/** A source without what its sender claims. */
export type OpenedSource = Omit<LocalSource, 'name' | 'mimeType' | 'excerpt'>;

/** Sources up to this many bytes are held in memory; larger ones stay in their file. */
export const inMemoryBytes = 32 * 2 ** 20;
