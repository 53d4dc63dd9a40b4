import { createHash } from 'node:crypto';
import type { Clock } from '../../../core/clock.js';
import type { UploadFaultName } from '../faults/faults.js';
import { fileNotYours, invalidArgument } from '../wire/error-bodies.js';
import type { WireErrorBody } from '../wire/messages.js';

/** A file as Gemini's REST describes it. */
export interface WireFile {
  readonly name: string;
  readonly displayName?: string;
  readonly mimeType: string;
  /** A number in a string, as all 64-bit numbers of the REST API. */
  readonly sizeBytes: string;
  readonly createTime: string;
  readonly updateTime: string;
  readonly expirationTime: string;
  /** Base64 of the hex digest, as in Gemini's replies. */
  readonly sha256Hash: string;
  readonly uri: string;
  readonly state: 'PROCESSING' | 'ACTIVE' | 'FAILED';
  /** Why the file is `FAILED`. */
  readonly error?: { readonly code: number; readonly message: string };
  readonly source: 'UPLOADED';
}

/** Gemini keeps files for 48 hours. */
const lifetimeMs = 48 * 3_600_000;

interface StoredFile {
  readonly id: string;
  readonly project: string;
  readonly displayName: string | undefined;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly createdAt: number;
  readonly activeAt: number;
  readonly fails: boolean;
}

interface Upload {
  readonly project: string;
  readonly displayName: string | undefined;
  readonly mimeType: string;
  readonly chunks: Buffer[];
  receivedBytes: number;
  /** The injected fault. */
  fault: UploadFaultName | undefined;
}

/** Uploaded files. Each belongs to the project whose key uploaded it; other projects get a 403. */
export class FileStore {
  readonly #clock: Clock;
  readonly #processingMs: number;
  readonly #baseUrl: () => string;
  readonly #nextId: () => string;
  readonly #files = new Map<string, StoredFile>();
  readonly #uploads = new Map<string, Upload>();

  constructor(options: {
    readonly clock: Clock;
    readonly processingMs: number;
    readonly baseUrl: () => string;
    readonly nextId: () => string;
  }) {
    this.#clock = options.clock;
    this.#processingMs = options.processingMs;
    this.#baseUrl = options.baseUrl;
    this.#nextId = options.nextId;
  }

  /** Begins a resumable upload and returns its id. */
  begin(upload: Pick<Upload, 'project' | 'displayName' | 'mimeType' | 'fault'>): string {
    const id = this.#nextId();
    this.#uploads.set(id, { ...upload, chunks: [], receivedBytes: 0 });
    return id;
  }

  /** Bytes of an upload that have arrived; `undefined` for an unknown upload. */
  receivedBytes(uploadId: string): number | undefined {
    return this.#uploads.get(uploadId)?.receivedBytes;
  }

  /** Appends bytes. Returns false if the upload is unknown or the offset is wrong. */
  append(uploadId: string, offset: number, bytes: Buffer): boolean {
    const upload = this.#uploads.get(uploadId);
    if (upload?.receivedBytes !== offset) return false;
    upload.chunks.push(bytes);
    upload.receivedBytes += bytes.length;
    return true;
  }

  /** Whether to cut the connection that carries bytes of this upload. True once per fault. */
  takeCut(uploadId: string): boolean {
    const upload = this.#uploads.get(uploadId);
    if (upload?.fault !== 'upload-cut') return false;
    upload.fault = undefined;
    return true;
  }

  cancel(uploadId: string): void {
    this.#uploads.delete(uploadId);
  }

  finish(uploadId: string): WireFile | undefined {
    const upload = this.#uploads.get(uploadId);
    if (!upload) return undefined;
    this.#uploads.delete(uploadId);
    const hash = createHash('sha256');
    for (const chunk of upload.chunks) hash.update(chunk);
    const createdAt = this.#clock.now();
    const isVideo = upload.mimeType.startsWith('video/');
    const file: StoredFile = {
      id: this.#nextId(),
      project: upload.project,
      displayName: upload.displayName,
      mimeType: upload.mimeType,
      sizeBytes: upload.receivedBytes,
      sha256: hash.digest('hex'),
      createdAt,
      activeAt: createdAt + (isVideo ? this.#processingMs : 0),
      fails: upload.fault === 'file-failed',
    };
    this.#files.set(file.id, file);
    return this.#describe(file);
  }

  /** The file, or the 403 that Gemini returns both for a missing file and for one of another project. */
  get(id: string, project: string): WireFile | WireErrorBody {
    const file = this.#owned(id, project);
    return file ? this.#describe(file) : fileNotYours(id);
  }

  list(project: string): readonly WireFile[] {
    return [...this.#files.values()]
      .filter((file) => this.#owned(file.id, project))
      .map((file) => this.#describe(file));
  }

  delete(id: string, project: string): WireErrorBody | undefined {
    if (!this.#owned(id, project)) return fileNotYours(id);
    this.#files.delete(id);
    return undefined;
  }

  /** Why a prompt may not refer to this file; `undefined` if it may, or if it is no file of the emulator. */
  refuse(uri: string, project: string): WireErrorBody | undefined {
    const id = /\/files\/([^/?#]+)$/.exec(uri)?.[1];
    if (id === undefined) return undefined;
    const file = this.#owned(id, project);
    if (!file) return fileNotYours(id);
    if (this.#stateOf(file) === 'ACTIVE') return undefined;
    return invalidArgument(`The File ${id} is not in an ACTIVE state and usage is not allowed.`);
  }

  #owned(id: string, project: string): StoredFile | undefined {
    const file = this.#files.get(id);
    const isAlive = file !== undefined && this.#clock.now() < file.createdAt + lifetimeMs;
    return isAlive && file.project === project ? file : undefined;
  }

  #stateOf(file: StoredFile): WireFile['state'] {
    if (this.#clock.now() < file.activeAt) return 'PROCESSING';
    return file.fails ? 'FAILED' : 'ACTIVE';
  }

  #describe(file: StoredFile): WireFile {
    const created = new Date(file.createdAt).toISOString();
    const state = this.#stateOf(file);
    return {
      name: `files/${file.id}`,
      ...(file.displayName !== undefined && { displayName: file.displayName }),
      mimeType: file.mimeType,
      sizeBytes: String(file.sizeBytes),
      createTime: created,
      updateTime: created,
      expirationTime: new Date(file.createdAt + lifetimeMs).toISOString(),
      sha256Hash: Buffer.from(file.sha256).toString('base64'),
      uri: `${this.#baseUrl()}/v1beta/files/${file.id}`,
      state,
      ...(state === 'FAILED' && { error: { code: 3, message: 'The file could not be processed.' } }),
      source: 'UPLOADED',
    };
  }
}
