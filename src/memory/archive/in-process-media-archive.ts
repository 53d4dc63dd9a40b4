import { ClosedError } from '../../core/errors.js';
import { parseForgetTarget } from '../../core/forget-target.js';
import type { PreparedMedia } from '../../core/media.js';
import { parseOptions } from '../../core/parse-options.js';
import type { Conversation } from '../../core/turn.js';
import type {
  ArchivedMedia,
  ArchiveForgetTarget,
  MediaArchive,
  MediaArchiveStats,
} from '../media-archive.js';
import { idOf } from './archived-file.js';
import {
  type InProcessMediaArchiveOptions,
  inProcessMediaArchiveOptionsSchema,
} from './media-archive-options.js';

interface Entry {
  readonly conversation: Conversation;
  readonly item: ArchivedMedia;
  readonly data: readonly Uint8Array[];
  readonly bytes: number;
}

/** Attachments as the model was shown them, in memory: gone when the process ends. */
export class InProcessMediaArchive implements MediaArchive {
  readonly #maxBytes: number;
  /** By conversation and id; what was attached longest ago comes first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: InProcessMediaArchiveOptions = {}) {
    this.#maxBytes = parseOptions(
      inProcessMediaArchiveOptionsSchema,
      options,
      'InProcessMediaArchive',
    ).maxBytes;
  }

  async keep(conversation: Conversation, media: PreparedMedia, at: number): Promise<void> {
    this.#assertOpen();
    if (media.parts.some(({ path }) => path !== undefined)) return;
    const { estimatedTokens, fingerprint, kind, name, source } = media;
    const id = idOf(media);
    const key = keyOf(conversation, id);
    const firstAt = this.#entries.get(key)?.item.firstAt ?? at;
    const parts = media.parts.map(({ data: _, ...part }) => part);
    const data = media.parts.map((part) => part.data);
    const bytes = data.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#remove(key);
    const item = { id, kind, name, fingerprint, source, parts, estimatedTokens, firstAt, lastAt: at };
    this.#entries.set(key, { conversation, item, data, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(oldest);
    }
  }

  async list(conversation: Conversation): Promise<readonly ArchivedMedia[]> {
    this.#assertOpen();
    const entries = [...this.#entries.values()].filter((entry) => isIn(entry, conversation));
    return entries.map(({ item }) => item).sort((a, b) => a.firstAt - b.firstAt);
  }

  async load(conversation: Conversation, id: string): Promise<readonly Uint8Array[] | undefined> {
    this.#assertOpen();
    return this.#entries.get(keyOf(conversation, id))?.data;
  }

  async forget(target: ArchiveForgetTarget): Promise<void> {
    this.#assertOpen();
    if (!('fingerprints' in target)) parseForgetTarget(target);
    for (const [key, entry] of this.#entries) {
      if (isMeant(entry, target)) this.#remove(key);
    }
  }

  async stats(): Promise<MediaArchiveStats> {
    this.#assertOpen();
    return { items: this.#entries.size, bytes: this.#bytes };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#entries.clear();
    this.#bytes = 0;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new ClosedError('media archive');
  }

  #remove(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}

const keyOf = ({ sessionId, tenant }: Conversation, id: string) => JSON.stringify([tenant, sessionId, id]);

const isIn = ({ conversation }: Entry, { sessionId, tenant }: Conversation) =>
  conversation.tenant === tenant && conversation.sessionId === sessionId;

function isMeant({ conversation, item }: Entry, target: ArchiveForgetTarget): boolean {
  if ('fingerprints' in target && !target.fingerprints.includes(item.fingerprint)) return false;
  const { before, sessionId, tenant } = target;
  return (
    (tenant === undefined || conversation.tenant === tenant) &&
    (sessionId === undefined || conversation.sessionId === sessionId) &&
    (before === undefined || item.lastAt < before.getTime())
  );
}
