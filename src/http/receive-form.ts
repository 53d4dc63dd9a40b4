import { setMaxListeners } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BusboyFileStream } from '@fastify/busboy';
import { linkedController, onAbort } from '../core/abort.js';
import { loadInstalled } from '../core/installed.js';
import { ConfigurationError, InvalidInputError, MediaError } from '../index.js';
import type { ByteShare } from './byte-budget.js';
import { HttpError } from './http-error.js';
import type { BodyReader } from './http-messages.js';
import { unknownField } from './unknown-field.js';

const fileField = 'video_file';
const textFields: readonly string[] = ['prompt', 'session_id', 'stream'];
const maxOtherBytes = 1024 * 1024;
const maxTextParts = 60;
/** UTF-8 takes at most four bytes for a character. */
const maxBytesPerChar = 4;

interface FormLimits {
  readonly maxUploadBytes: number;
  readonly maxFiles: number;
  readonly maxPromptChars: number;
  /** Text fields that are allowed besides those of every question. */
  readonly fields: readonly string[];
}

/** Where the files go, and the count of their bytes. */
interface FormDirectory {
  path(): Promise<string>;
  hold(bytes: number): void;
}

export interface FormDeps {
  readonly directory: FormDirectory;
  readonly limits: FormLimits;
  /** The share of the request in what all bodies in memory may take. */
  readonly share: ByteShare;
  readonly signal: AbortSignal;
}

/** One uploaded file, on disk. */
interface UploadedFile {
  readonly path: string;
  readonly name: string;
  readonly mimeType: string;
}

/** The contents of a multipart body. */
export interface ReceivedForm {
  readonly fields: ReadonlyMap<string, string>;
  readonly files: readonly UploadedFile[];
}

/**
 * Reads a multipart body and writes its files into the directory as they arrive. No file is held in memory
 * whole.
 *
 * @throws InvalidInputError, MediaError or HttpError as soon as the body proves malformed or over a limit;
 * the rest is not read. Rethrows `signal.reason`.
 */
export async function receiveForm(
  body: BodyReader,
  contentType: string,
  { directory, limits, share, signal }: FormDeps,
): Promise<ReceivedForm> {
  const allowed = [...textFields, ...limits.fields];
  const fields = new Map<string, string>();
  const writes: Promise<UploadedFile | undefined>[] = [];
  const parser = await makeParser(contentType, limits, allowed);
  const { controller: stop, unlink } = linkedController(signal);
  // The pipeline of every file adds a listener.
  setMaxListeners(0, stop.signal);

  let uploadedBytes = 0;
  const countUploaded = (bytes: number) => {
    uploadedBytes += bytes;
    if (uploadedBytes > limits.maxUploadBytes) throw tooMuchUploaded(limits.maxUploadBytes);
    directory.hold(uploadedBytes);
  };
  const countReceived = (bytes: number) => {
    if (bytes > limits.maxUploadBytes + maxOtherBytes) throw tooMuchUploaded(limits.maxUploadBytes);
    share.hold(bytes - uploadedBytes);
  };

  parser.on('field', (name, value, _nameTruncated, truncated) => {
    if (truncated) stop.abort(fieldTooLong(name));
    if (!allowed.includes(name)) stop.abort(unknownField(name));
    if (fields.has(name)) stop.abort(sentTwice(name));
    fields.set(name, value);
  });
  parser.on('file', (field, stream, filename, _encoding, mimeType) => {
    const index = writes.length;
    const name = displayName(filename) ?? `attachment ${index + 1}`;
    if (field !== fileField) stop.abort(unknownFileField(field));
    const written = storeFile(stream, directory, index, countUploaded, stop.signal).then(
      ({ path, bytes }) => {
        if (bytes > 0) return { path, name, mimeType };
        // Browsers send an empty part without a name for an empty file input.
        if (!filename) return undefined;
        throw new MediaError('empty', `The file "${name}" is empty. Attach one with content.`);
      },
    );
    written.catch((error: unknown) => stop.abort(error));
    writes.push(written);
  });
  parser.on('filesLimit', () => stop.abort(tooManyFiles(limits.maxFiles)));
  parser.on('partsLimit', () => stop.abort(tooManyParts()));

  try {
    await pipeline(chunksOf(body, countReceived, stop.signal), parser, {
      // When a file is abandoned half-way, the parser would wait forever for its reader.
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
    unlink();
  }
}

const importBusboy = () => import('@fastify/busboy');

/** On first use: what esbuild makes of it in an ES module fails when it is loaded. */
async function loadBusboy() {
  try {
    // Its default in CommonJS: bundlers differ in what else they find in it.
    return (await loadInstalled('@fastify/busboy', importBusboy)).default;
  } catch (cause) {
    throw new ConfigurationError(
      'The package @fastify/busboy cannot be loaded, so no form can be read. Run npm install again; beside a bundle, run npm install @fastify/busboy, or bundle as CommonJS.',
      { cause },
    );
  }
}

async function makeParser(
  contentType: string,
  { maxFiles, maxPromptChars }: FormLimits,
  allowed: readonly string[],
) {
  const Busboy = await loadBusboy();
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      // `curl -F prompt=@file` sends a text field with a file name.
      isPartAFile: (field, _type, filename) =>
        field === fileField || (filename !== undefined && !allowed.includes(field ?? '')),
      limits: {
        files: maxFiles,
        parts: maxFiles + maxTextParts,
        fieldSize: maxPromptChars * maxBytesPerChar,
        headerPairs: 50,
        headerSize: 16 * 1024,
      },
    });
  } catch (cause) {
    throw brokenForm(cause);
  }
}

/** Aborting it ends a pending read at once, even if the client sends nothing. */
async function* chunksOf(
  body: BodyReader,
  count: (receivedBytes: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const cancel = () => {
    // The body is discarded anyway, so a failure to cancel it does not matter.
    body.cancel(signal.reason).catch(() => undefined);
  };
  const unsubscribe = onAbort(signal, cancel);
  try {
    let received = 0;
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await body.read();
      signal.throwIfAborted();
      if (done || value === undefined) return;
      received += value.byteLength;
      count(received);
      yield value;
    }
  } finally {
    unsubscribe();
    cancel();
  }
}

async function storeFile(
  stream: BusboyFileStream,
  directory: FormDirectory,
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
  // Subscribe at once: an early end of the body would be missed otherwise.
  await pipeline(
    stream,
    async (chunks: AsyncIterable<Uint8Array>) => {
      try {
        path = join(await directory.path(), String(index));
        await writeFile(path, counted(chunks), { flag: 'wx', mode: 0o600 });
      } catch (error) {
        throw uploadNotStored(error);
      }
    },
    { signal },
  );
  return { path, bytes };
}

/** A file name that can stand in a sentence, if there is one. */
export function displayName(filename: string | undefined): string | undefined {
  const name = filename
    ?.replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 200);
  return name === '' ? undefined : name;
}

/** An error of the disk, for the client; any other error as it is. */
export function uploadNotStored(error: unknown): unknown {
  // Only errors of the system name the call that failed.
  if (typeof (error as NodeJS.ErrnoException | undefined)?.syscall !== 'string') return error;
  return new HttpError(
    503,
    'UPLOAD_NOT_STORED',
    'The service cannot store the upload at present. Its operator finds the reason in the log.',
    { cause: error, retryAfterMs: 10_000 },
  );
}

/** Errors of the parser mean a malformed body. */
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

export const tooManyFiles = (maxFiles: number) =>
  new HttpError(413, 'TOO_MANY_FILES', `More than ${maxFiles} files were sent. Send fewer.`);

const tooManyParts = () => new InvalidInputError('The form has too many fields.');

const sentTwice = (name: string) =>
  new InvalidInputError(`The field "${name}" was sent twice. Send it once.`);

const fieldTooLong = (name: string) =>
  new HttpError(413, 'FIELD_TOO_LONG', `The field "${name}" is too long. Shorten it.`);

const unknownFileField = (name: string | undefined) =>
  new InvalidInputError(
    `A file came in the field "${name ?? ''}". Attach files in the field "${fileField}".`,
  );
