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

const unnamed = 'attachment';

export const isDataUrl = (text: string) => /^data:/i.test(text);
export const isRemoteUrl = (text: string) => /^https?:\/\//i.test(text);

/** What a source is called in messages. */
export function nameOf(source: MediaSource): string {
  const { data, name } = asNamed(source);
  return name || nameOfData(data);
}

function nameOfData(data: MediaData): string {
  if (typeof data === 'string') {
    if (isDataUrl(data)) return unnamed;
    // Only an address has a query and a fragment: a file may be called `notes #2.md`.
    return basename(isRemoteUrl(data) ? (data.split(/[?#]/, 1)[0] ?? data) : data) || data;
  }
  if (data instanceof URL) {
    return isDataUrl(data.protocol) ? unnamed : basename(readablePath(data)) || data.hostname || unnamed;
  }
  if (typeof File !== 'undefined' && data instanceof File && data.name) return data.name;
  return unnamed;
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
