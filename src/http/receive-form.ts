import { setMaxListeners } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BusboyFileStream } from '@fastify/busboy';
import { Busboy } from '@fastify/busboy';
import { InvalidInputError, MediaError } from '../index.js';
import { HttpError } from './http-error.js';
import type { BodyReader } from './http-messages.js';
import type { UploadDirectory } from './upload-directory.js';

const fileField = 'video_file';
const textFields: readonly string[] = ['prompt', 'session_id', 'stream'];
const maxOtherBytes = 1024 * 1024;
/** UTF-8 takes at most four bytes for a character. */
const maxBytesPerChar = 4;

export interface FormLimits {
  readonly maxUploadBytes: number;
  readonly maxFiles: number;
  readonly maxPromptChars: number;
}

/** One uploaded file, on disk. */
interface UploadedFile {
  readonly path: string;
  readonly name: string;
  readonly mimeType: string;
}

/** A multipart body, taken apart. */
export interface ReceivedForm {
  readonly fields: ReadonlyMap<string, string>;
  readonly files: readonly UploadedFile[];
}

/**
 * Reads a multipart body, writing its files into the directory as they arrive. No file is ever whole in
 * memory.
 *
 * @throws InvalidInputError, MediaError, HttpError for a body that is broken or over a limit, as soon as
 * that is clear; the rest is not read then. Rethrows `signal.reason`.
 */
export async function receiveForm(
  body: BodyReader,
  contentType: string,
  { directory, limits, signal }: { directory: UploadDirectory; limits: FormLimits; signal: AbortSignal },
): Promise<ReceivedForm> {
  const fields = new Map<string, string>();
  const writes: Promise<UploadedFile | undefined>[] = [];
  const stop = new AbortController();
  // Every file listens to it.
  setMaxListeners(0, stop.signal);
  const parser = makeParser(contentType, limits);

  let uploadedBytes = 0;
  const countUploaded = (bytes: number) => {
    uploadedBytes += bytes;
    if (uploadedBytes > limits.maxUploadBytes) throw tooMuchUploaded(limits.maxUploadBytes);
  };

  parser.on('field', (name, value, _nameTruncated, truncated) => {
    if (truncated) stop.abort(fieldTooLong(name));
    if (textFields.includes(name)) fields.set(name, value);
  });
  parser.on('file', (field, stream, filename, _encoding, mimeType) => {
    const index = writes.length;
    const name = displayName(filename) ?? `attachment ${index + 1}`;
    if (field !== fileField) stop.abort(unknownFileField(field));
    const written = storeFile(stream, directory, index, countUploaded, stop.signal).then(
      ({ path, bytes }) => {
        if (bytes > 0) return { path, name, mimeType };
        // A browser sends an empty part without a name for a file input that was left empty.
        if (!filename) return undefined;
        throw new MediaError('empty', `The file "${name}" is empty. Attach one with content.`);
      },
    );
    written.catch((error: unknown) => stop.abort(error));
    writes.push(written);
  });
  parser.on('filesLimit', () => stop.abort(tooManyFiles(limits.maxFiles)));
  parser.on('partsLimit', () => stop.abort(tooManyParts()));

  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const maxBytes = limits.maxUploadBytes + maxOtherBytes;
    await pipeline(chunksOf(body, maxBytes, limits.maxUploadBytes, stop.signal), parser, {
      // Where a file is given up half-way the parser would wait for its reader for ever.
      signal: stop.signal,
    });
    const files = await Promise.all(writes);
    stop.signal.throwIfAborted();
    return { fields, files: files.filter((file) => file !== undefined) };
  } catch (error) {
    stop.abort(brokenForm(error));
    await Promise.allSettled(writes);
    throw stop.signal.reason;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function makeParser(contentType: string, { maxFiles, maxPromptChars }: FormLimits) {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      // `curl -F prompt=@file` sends a text field with a file name.
      isPartAFile: (field, _type, filename) =>
        field === fileField || (filename !== undefined && !textFields.includes(field ?? '')),
      limits: {
        files: maxFiles,
        parts: maxFiles + 50,
        fieldSize: maxPromptChars * maxBytesPerChar,
        headerPairs: 50,
        headerSize: 16 * 1024,
      },
    });
  } catch (cause) {
    throw brokenForm(cause);
  }
}

/** Stopping it makes a pending read end at once, however long the client is silent. */
async function* chunksOf(
  body: BodyReader,
  maxBytes: number,
  maxUploadBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const cancel = () => {
    // The body is given up already; that it cannot even be cancelled changes nothing.
    body.cancel(signal.reason).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    let received = 0;
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await body.read();
      signal.throwIfAborted();
      if (done || value === undefined) return;
      received += value.byteLength;
      if (received > maxBytes) throw tooMuchUploaded(maxUploadBytes);
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}

async function storeFile(
  stream: BusboyFileStream,
  directory: UploadDirectory,
  index: number,
  count: (bytes: number) => void,
  signal: AbortSignal,
): Promise<{ path: string; bytes: number }> {
  let path = '';
  let bytes = 0;
  async function* counted(chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      count(chunk.byteLength);
      yield chunk;
    }
  }
  // The stream must be taken at once, or an early end of the body would go unheard.
  await pipeline(
    stream,
    async (chunks: AsyncIterable<Uint8Array>) => {
      path = join(await directory.path(), String(index));
      await writeFile(path, counted(chunks), { flag: 'wx', mode: 0o600 });
    },
    { signal },
  );
  return { path, bytes };
}

/** A file name fit for a sentence, if there is one. */
function displayName(filename: string | undefined): string | undefined {
  const name = filename
    ?.replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 200);
  return name === '' ? undefined : name;
}

/** What the parser throws is about the bytes of the body. */
function brokenForm(error: unknown): unknown {
  if (error instanceof HttpError || InvalidInputError.isInstance(error) || MediaError.isInstance(error))
    return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined && /^E[A-Z]+$/.test(code)) return error;
  return new InvalidInputError(
    'The multipart body is broken or incomplete. Send it as multipart/form-data with its boundary, to the end.',
    { cause: error },
  );
}

export const tooMuchUploaded = (maxBytes: number) =>
  new MediaError(
    'too-large',
    `The files are larger than ${describeBytes(maxBytes)} together. Send smaller or fewer ones.`,
  );

const describeBytes = (bytes: number) =>
  bytes >= 1024 * 1024 ? `${Math.floor(bytes / 1024 / 1024)} MB` : `${bytes} bytes`;

const tooManyFiles = (maxFiles: number) =>
  new HttpError(413, 'TOO_MANY_FILES', `More than ${maxFiles} files were sent. Send fewer.`);

const tooManyParts = () => new InvalidInputError('The form has too many fields.');

const fieldTooLong = (name: string) =>
  new HttpError(413, 'FIELD_TOO_LONG', `The field "${name}" is too long. Shorten it.`);

const unknownFileField = (name: string | undefined) =>
  new InvalidInputError(
    `A file came in the field "${name ?? ''}". Attach files in the field "${fileField}".`,
  );
