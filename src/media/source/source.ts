import type { Excerpt } from './excerpt.js';

/** A source whose bytes are at hand, in memory or in a file. */
export interface LocalSource {
  readonly name: string;
  /** What the sender claims. */
  readonly mimeType: string | undefined;
  /** The part that is asked for, where it is not the whole. */
  readonly excerpt: Excerpt | undefined;
  readonly bytes: number;
  /** The same only for the same bytes, whoever made them. */
  readonly identity: string;
  /** Hex SHA-256 of all bytes; of large sources of their length and of samples. */
  fingerprint(): Promise<string>;
  /** The first bytes, enough to tell the format. */
  readonly head: Uint8Array;
  /** All bytes, when they are in memory anyway. */
  readonly data: Uint8Array | undefined;
  /** All bytes. Large files are refused, so check the kind first. */
  read(): Promise<Uint8Array>;
  /** A file with the bytes; written to the workspace when there is none yet. */
  path(): Promise<string>;
}

/** What of it does not depend on what the sender says. */
export type OpenedSource = Omit<LocalSource, 'name' | 'mimeType' | 'excerpt'>;

/** Sources up to this many bytes are held in memory; larger ones stay in their file. */
export const inMemoryBytes = 32 * 2 ** 20;
