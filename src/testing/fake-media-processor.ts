import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { ClosedError } from '../core/errors.js';
import type { MediaSource, NamedMedia, PreparedMedia } from '../core/media.js';
import type { MediaProcessor, PrepareOptions } from '../media/media-processor.js';

/** A PNG of one gray pixel. */
const onePixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQImWPo6OgAAAM0AZmUse0HAAAAAElFTkSuQmCC',
  'base64',
);

/**
 * A `MediaProcessor` that reads nothing: it records every source and returns the same picture of one
 * pixel. Other results are scripted with `prepareNext`.
 *
 * @example
 * ```ts
 * const media = new FakeMediaProcessor();
 * media.prepareNext(new MediaError('corrupt', 'The picture is broken.'));
 * ```
 */
export class FakeMediaProcessor implements MediaProcessor {
  readonly #sources: MediaSource[] = [];
  readonly #script: (Partial<PreparedMedia> | Error)[] = [];
  #isClosed = false;

  /** Every source that `prepare` was called with, oldest first. */
  get sources(): readonly MediaSource[] {
    return this.#sources;
  }

  /** Scripts the next results: fields to replace in the usual result, or an error to throw. */
  prepareNext(...results: readonly (Partial<PreparedMedia> | Error)[]): void {
    this.#script.push(...results);
  }

  async prepare(source: MediaSource, { signal, onProgress }: PrepareOptions = {}): Promise<PreparedMedia> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('media processor');
    this.#sources.push(source);
    const result = this.#script.shift() ?? {};
    if (result instanceof Error) throw result;
    const name = nameOf(source);
    onProgress?.({ name, stage: 'reading', fraction: 0 });
    const media: PreparedMedia = {
      kind: 'image',
      name,
      fingerprint: createHash('sha256').update(name).digest('hex'),
      parts: [{ mimeType: 'image/png', data: onePixel }],
      estimatedTokens: 1120,
      source: { mimeType: 'image/png', bytes: onePixel.length, width: 1, height: 1 },
      ...result,
    };
    onProgress?.({ name: media.name, stage: 'ready', fraction: 1 });
    return media;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}

function nameOf(source: MediaSource): string {
  if (typeof source === 'string') return basename(source);
  if (source instanceof URL) return basename(source.pathname);
  if (source instanceof Blob) return 'name' in source ? String(source.name) : 'blob';
  const { name, data } = source as Partial<NamedMedia>;
  if (name !== undefined) return name;
  return data === undefined ? 'attachment' : nameOf(data);
}
