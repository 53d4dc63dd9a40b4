import type { Fetch, File as GeminiFile } from '@google/genai';
import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { sleep } from '../../core/clock.js';
import { MediaError, ModelCallError } from '../../core/errors.js';
import type { Redactor } from '../../core/redact.js';
import type { UploadPart } from '../chat-model.js';
import { classifyFailure } from './classify-failure.js';
import type { GeminiClients } from './gemini-clients.js';
import { GeminiExchange } from './gemini-exchange.js';
import { resumingFetch } from './resume-upload.js';

/** Whose upload it is: Gemini's files belong to the project of the key. */
export interface Uploader extends AbortOptions {
  readonly apiKey: string;
  readonly project: string;
}

export interface GeminiFilesOptions {
  readonly clients: GeminiClients;
  readonly clock: Clock;
  /** How long a file stays after it was last used, in milliseconds. Gemini itself keeps files for 48 hours. */
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
  /** Calls that wait for it to be stored. */
  waiting: number;
  timer: unknown;
}

/** First look, then twice as long each time: short clips are ready after a second or two. */
const firstLookMs = 500;
const longestLookMs = 5_000;
/** Files that cannot be deleted by then are left to Gemini, which deletes them after 48 hours. */
const longestClosingMs = 5_000;

/** Files that were uploaded for calls: each once per project, shared, and deleted when no longer used. */
export class GeminiFiles {
  readonly #options: GeminiFilesOptions;
  readonly #uploads = new Map<string, Upload>();

  constructor(options: GeminiFilesOptions) {
    this.#options = options;
  }

  /** Projects where all these files are stored already. */
  projectsWith(parts: readonly UploadPart[]): readonly string[] {
    const projects = new Set([...this.#uploads.values()].map(({ project }) => project));
    return [...projects].filter((project) =>
      parts.every((part) => this.#uploads.get(keyOf(project, part))?.isStored),
    );
  }

  /**
   * Where the file is in the project; uploads it and waits until Gemini has processed it, when it is
   * not there yet.
   *
   * @throws ModelCallError when it cannot be uploaded or Gemini cannot process it.
   * @throws `signal.reason` when aborted; the upload is called off when nobody else waits for it.
   */
  async uriOf(part: UploadPart, uploader: Uploader): Promise<string> {
    const key = keyOf(uploader.project, part);
    const upload = this.#uploads.get(key) ?? this.#begin(key, part, uploader);
    upload.waiting += 1;
    try {
      const { uri } = await untilAborted(upload.stored, uploader.signal);
      this.#keep(key, upload);
      return uri;
    } finally {
      upload.waiting -= 1;
      if (upload.waiting === 0 && !upload.isStored) upload.controller.abort();
    }
  }

  /** Forgets that the files are stored in the project: Gemini says that they are not. */
  forget(parts: readonly UploadPart[], project: string): void {
    for (const part of parts) this.#remove(keyOf(project, part));
  }

  /** Calls off what is under way and deletes what was uploaded. */
  async close(): Promise<void> {
    const uploads = [...this.#uploads.keys()].flatMap((key) => this.#remove(key) ?? []);
    const limit = AbortSignal.timeout(longestClosingMs);
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
    const send = resumingFetch({ clock, redactor, signal });
    let sent = false;
    const fetch: Fetch = (url, init) => {
      sent = true;
      return send(url, init);
    };
    try {
      const client = await clients.make(apiKey, fetch);
      const config = { mimeType: part.mimeType, displayName: part.name };
      let file = await client.files.upload({ file: part.path, config });
      for (
        let lookMs = firstLookMs;
        file.state === 'PROCESSING';
        lookMs = Math.min(2 * lookMs, longestLookMs)
      ) {
        await sleep(clock, lookMs, signal);
        file = await client.files.get({ name: file.name ?? '' });
      }
      const { name, uri } = file;
      if (file.state !== 'FAILED' && name !== undefined && uri !== undefined) return { name, uri };
      // Of no use to anybody. Where it cannot be deleted, Gemini does so after 48 hours.
      if (name !== undefined) this.#deleteFile(apiKey, name).catch(() => undefined);
      throw notProcessed(file, part.name, redactor);
    } catch (error) {
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
      // One that cannot be deleted is left to Gemini, which deletes it after 48 hours.
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
      controller.abort();
      return;
    }
    await this.#deleteFile(apiKey, (await stored).name, limit);
  }

  async #deleteFile(
    apiKey: string,
    name: string,
    limit = AbortSignal.timeout(longestClosingMs),
  ): Promise<void> {
    const exchange = new GeminiExchange(limit, this.#options.redactorFor(apiKey));
    const client = await this.#options.clients.make(apiKey, exchange.fetch);
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
    // It is about the attachment, whoever it was that found out.
    cause: new MediaError('unsupported', message),
  });
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const done = () => signal.removeEventListener('abort', onAbort);
    work.then(resolve, reject).finally(done);
  });
}
