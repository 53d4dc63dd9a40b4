import type { Fetch, File as GeminiFile } from '@google/genai';
import { type AbortOptions, raceAbort } from '../../core/abort.js';
import { ExponentialBackoff } from '../../core/backoff.js';
import { type Clock, sleep } from '../../core/clock.js';
import { ClosedError, MediaError, ModelCallError } from '../../core/errors.js';
import type { Redactor } from '../../core/redact.js';
import type { UploadPart } from '../chat-model.js';
import { classifyFailure } from './failure/classify-failure.js';
import type { GeminiClients } from './gemini-clients.js';
import { GeminiExchange } from './gemini-exchange.js';
import { resumingFetch } from './resume-upload.js';

/** The key to upload with, and its project, to which the file then belongs. */
export interface Uploader extends AbortOptions {
  readonly apiKey: string;
  readonly project: string;
}

export interface GeminiFilesOptions {
  readonly clients: GeminiClients;
  readonly clock: Clock;
  /** How long a file stays after its last use, in milliseconds. Gemini itself keeps files for 48 hours. */
  readonly keepMs: number;
  readonly redactorFor: (apiKey: string) => Redactor;
}

interface StoredFile {
  readonly name: string;
  readonly uri: string;
}

interface Upload {
  readonly project: string;
  readonly fingerprint: string;
  readonly apiKey: string;
  readonly stored: Promise<StoredFile>;
  readonly controller: AbortController;
  isStored: boolean;
  /** How many calls wait for it to be stored. */
  waiting: number;
  timer: unknown;
}

/** Pauses between looks at a file that Gemini processes: short clips are ready after a second or two. */
const processingPauses = { initialMs: 500, maxMs: 5_000 };
/** Gemini itself deletes what cannot be deleted by then, after 48 hours. */
const deletionTimeoutMs = 5_000;

/** Files that were uploaded for calls: once per project, shared between calls, deleted when no longer used. */
export class GeminiFiles {
  readonly #options: GeminiFilesOptions;
  readonly #uploads = new Map<string, Upload>();

  constructor(options: GeminiFilesOptions) {
    this.#options = options;
  }

  /** Projects that hold all these files already. */
  projectsWith(parts: readonly UploadPart[]): readonly string[] {
    const projects = new Set([...this.#uploads.values()].map(({ project }) => project));
    return [...projects].filter((project) =>
      parts.every((part) => this.#uploads.get(keyOf(project, part))?.isStored),
    );
  }

  /**
   * The URI of the file in the project. Uploads it first if it is not stored there, and waits until Gemini
   * has processed it.
   *
   * @throws ModelCallError if it cannot be uploaded or Gemini cannot process it.
   * @throws `signal.reason` when aborted; the upload is cancelled unless other calls wait for it.
   */
  async uriOf(part: UploadPart, uploader: Uploader): Promise<string> {
    const key = keyOf(uploader.project, part);
    const upload = this.#uploads.get(key) ?? this.#begin(key, part, uploader);
    upload.waiting += 1;
    try {
      const { uri } = await raceAbort(upload.stored, uploader.signal);
      this.#keep(key, upload);
      return uri;
    } finally {
      upload.waiting -= 1;
      if (upload.waiting === 0 && !upload.isStored) upload.controller.abort();
    }
  }

  /** To be called when Gemini no longer has the files in the project. */
  forget(parts: readonly UploadPart[], project: string): void {
    for (const part of parts) this.#remove(keyOf(project, part));
  }

  /** Cancels uploads in progress, whose calls throw `ClosedError`, and deletes stored files. */
  async close(): Promise<void> {
    const uploads = [...this.#uploads.keys()].flatMap((key) => this.#remove(key) ?? []);
    const limit = AbortSignal.timeout(deletionTimeoutMs);
    await Promise.allSettled(uploads.map((upload) => this.#delete(upload, limit)));
  }

  #begin(key: string, part: UploadPart, { apiKey, project }: Uploader): Upload {
    const controller = new AbortController();
    const upload: Upload = {
      project,
      fingerprint: part.fingerprint,
      apiKey,
      controller,
      stored: this.#store(part, apiKey, controller.signal),
      isStored: false,
      waiting: 0,
      timer: undefined,
    };
    this.#uploads.set(key, upload);
    upload.stored.then(
      () => {
        upload.isStored = true;
      },
      () => {
        if (this.#uploads.get(key) === upload) this.#uploads.delete(key);
      },
    );
    return upload;
  }

  async #store(part: UploadPart, apiKey: string, signal: AbortSignal): Promise<StoredFile> {
    const { clients, clock, redactorFor } = this.#options;
    const redactor = redactorFor(apiKey);
    const send = resumingFetch({ clock, redactor, signal, fetch: clients.fetch });
    const pauses = new ExponentialBackoff(processingPauses);
    let sent = false;
    const fetch: Fetch = (url, init) => {
      sent = true;
      return send(url, init);
    };
    try {
      const client = await clients.make(apiKey, fetch);
      const config = { mimeType: part.mimeType, displayName: part.name };
      let file = await client.files.upload({ file: part.path, config });
      while (file.state === 'PROCESSING') {
        await sleep(clock, pauses.next(), signal);
        file = await client.files.get({ name: file.name ?? '' });
      }
      const { name, uri } = file;
      if (file.state !== 'FAILED' && name !== undefined && uri !== undefined) return { name, uri };
      if (name !== undefined) this.#deleteFile(apiKey, name).catch(() => undefined);
      throw notProcessed(file, part.name, redactor);
    } catch (error) {
      if (ClosedError.isInstance(signal.reason)) throw signal.reason;
      if (ModelCallError.isInstance(error)) throw error;
      throw new ModelCallError(classifyFailure({ error, sent, redactor }));
    }
  }

  #keep(key: string, upload: Upload): void {
    const { clock, keepMs } = this.#options;
    if (this.#uploads.get(key) !== upload) return;
    clock.clearTimeout(upload.timer);
    const discard = () => {
      this.#remove(key);
      this.#delete(upload).catch(() => undefined);
    };
    upload.timer = clock.setTimeout(discard, keepMs, { isBackground: true });
  }

  #remove(key: string): Upload | undefined {
    const upload = this.#uploads.get(key);
    this.#uploads.delete(key);
    this.#options.clock.clearTimeout(upload?.timer);
    return upload;
  }

  async #delete({ apiKey, controller, isStored, stored }: Upload, limit?: AbortSignal): Promise<void> {
    if (!isStored) {
      controller.abort(new ClosedError('model'));
      return;
    }
    await this.#deleteFile(apiKey, (await stored).name, limit);
  }

  async #deleteFile(
    apiKey: string,
    name: string,
    limit = AbortSignal.timeout(deletionTimeoutMs),
  ): Promise<void> {
    const { clients, redactorFor } = this.#options;
    const exchange = new GeminiExchange(limit, redactorFor(apiKey), clients.fetch);
    const client = await clients.make(apiKey, exchange.fetch);
    await client.files.delete({ name });
  }
}

const keyOf = (project: string, part: UploadPart) => JSON.stringify([project, part.fingerprint]);

function notProcessed({ error }: GeminiFile, clip: string, redactor: Redactor): ModelCallError {
  const why = error?.message === undefined ? '' : ` (${redactor.text(error.message)})`;
  const message = `Gemini could not process "${clip}"${why}: show it as frames (media: { video: 'frames' }), or export it as H.264 in MP4.`;
  return new ModelCallError({
    kind: 'invalid-request',
    scope: 'call',
    reason: 'FILE_NOT_PROCESSED',
    message,
    // The fault is the attachment's: the chat throws this error in place of a ModelCallError.
    cause: new MediaError('unsupported', message),
  });
}
