import { basename } from 'node:path';
import type { MediaData, MediaSource, NamedMedia } from '../../core/media.js';

/** A source with the name, type and times that came with it. */
export function asNamed(source: MediaSource): NamedMedia {
  if (typeof source !== 'object' || source === null) return { data: source };
  const isData =
    source instanceof URL ||
    source instanceof Uint8Array ||
    source instanceof ArrayBuffer ||
    source instanceof Blob ||
    isIterable(source);
  return isData ? { data: source as MediaData } : (source as NamedMedia);
}

/** A name for messages, if none was given. */
export function nameOf(data: MediaData): string {
  if (typeof data === 'string') return basename(data.split(/[?#]/, 1)[0] ?? data) || data;
  if (data instanceof URL) return basename(readablePath(data)) || data.hostname || 'attachment';
  if (typeof File !== 'undefined' && data instanceof File && data.name) return data.name;
  return 'attachment';
}

function readablePath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname);
  } catch (error) {
    // A name is only for messages, so one with stray percent signs is shown as it is.
    if (error instanceof URIError) return pathname;
    throw error;
  }
}

function isIterable(value: object): boolean {
  return Symbol.asyncIterator in value || value instanceof ReadableStream;
}
