import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { InvalidInputError, MediaError } from '../../core/errors.js';
import type { MediaData, MediaSource } from '../../core/media.js';
import type { MediaSettings } from '../media-options.js';
import { readDataUrl } from './data-url.js';
import { checkExcerpt } from './excerpt.js';
import { asNamed, isRemoteUrl, nameOf } from './named-media.js';
import { openBytes } from './open-bytes.js';
import { openFile } from './open-file.js';
import { openStream } from './open-stream.js';
import { fetchRemote } from './remote.js';
import type { LocalSource, OpenedSource } from './source.js';
import { tooLarge } from './too-large.js';
import type { Workspace } from './workspace.js';

type Settings = Pick<
  MediaSettings,
  'allowPaths' | 'pathRoot' | 'allowUrls' | 'allowPrivateAddresses' | 'maxBytes' | 'timeoutMs'
>;

/**
 * Brings the bytes of a source within reach, under the byte limit.
 *
 * @throws MediaError `empty`, `too-large`, `not-found`, `not-allowed`
 * @throws InvalidInputError
 */
export async function openSource(
  source: MediaSource,
  workspace: Workspace,
  settings: Settings,
  signal: AbortSignal,
): Promise<LocalSource> {
  const { data: givenData, ...given } = asNamed(source);
  const excerpt = checkExcerpt(given.startMs, given.endMs);
  const name = nameOf(source);
  const { data, mimeType = given.mimeType } = readDataUrl(givenData, name, settings.maxBytes);
  const location = asLocation(data);
  let opened: OpenedSource;
  if (location instanceof URL) {
    if (!settings.allowUrls) {
      throw new MediaError(
        'not-allowed',
        `"${name}" is a remote address, and fetching those is turned off. Send the bytes, or turn on allowUrls.`,
      );
    }
    const body = fetchRemote(location, settings, signal);
    opened = await openStream(body, name, workspace, settings.maxBytes, signal);
  } else if (typeof location === 'string') {
    if (!settings.allowPaths) {
      throw new MediaError(
        'not-allowed',
        `"${name}" is a file path, and reading those is turned off. Send the bytes.`,
      );
    }
    opened = await openFile(location, name, workspace, settings, signal);
  } else if (data instanceof Uint8Array || data instanceof ArrayBuffer) {
    opened = openBytes(data instanceof Uint8Array ? data : new Uint8Array(data), workspace);
  } else {
    opened = await openStream(asIterable(data), name, workspace, settings.maxBytes, signal);
  }
  if (opened.bytes === 0)
    throw new MediaError('empty', `"${name}" is empty. Send a file with something in it.`);
  if (opened.bytes > settings.maxBytes) throw tooLarge(name, settings.maxBytes);
  return { name, mimeType, excerpt, ...opened };
}

/** A file path, a remote URL, or `undefined` if the data itself is given. */
function asLocation(data: MediaData): string | URL | undefined {
  if (typeof data === 'string') return isRemoteUrl(data) ? asUrl(data) : resolve(data);
  if (!(data instanceof URL)) return undefined;
  if (data.protocol === 'file:') return asPath(data);
  if (data.protocol === 'http:' || data.protocol === 'https:') return data;
  throw new MediaError(
    'not-allowed',
    `Addresses that begin with ${data.protocol} are not read. Send the bytes.`,
  );
}

function asUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new InvalidInputError('The address of an attachment is not a valid URL. Correct it.');
}

function asPath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new InvalidInputError(
      'A file: URL of an attachment names no file of this machine. Give its path instead.',
      { cause },
    );
  }
}

function asIterable(data: MediaData): AsyncIterable<Uint8Array> {
  if (data instanceof Blob) return Readable.fromWeb(data.stream() as never);
  if (data instanceof ReadableStream) return Readable.fromWeb(data as never);
  if (typeof data === 'object' && data !== null && Symbol.asyncIterator in data) {
    return data as AsyncIterable<Uint8Array>;
  }
  throw new InvalidInputError(
    'An attachment must be a path, a URL, bytes, a Blob, a stream, or an object with one of these as "data".',
  );
}
