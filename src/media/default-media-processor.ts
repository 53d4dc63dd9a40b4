import { ClosedError, MediaError } from '../core/errors.js';
import type { MediaFrames, MediaKind, MediaSource, PreparedMedia } from '../core/media.js';
import { parseOptions } from '../core/parse-options.js';
import { settingsFor } from './budget/detail-budget.js';
import { PixelBudget } from './budget/pixel-budget.js';
import { locateFfmpeg } from './ffmpeg/ffmpeg-location.js';
import { rawPhotoFormat } from './image/raw-formats.js';
import {
  type MediaOptions,
  type MediaSettings,
  mediaOptionsSchema,
  type ResolvedMediaOptions,
} from './media-options.js';
import type { MediaProcessor, PrepareOptions } from './media-processor.js';
import { acceptsKey } from './model-accepts.js';
import { PictureProcesses } from './picture-process/picture-processes.js';
import { prepareSource } from './prepare-source.js';
import { formatOf } from './source/format-of.js';
import { isContainer, type MediaFormat } from './source/formats.js';
import { nameOf } from './source/named-media.js';
import { openSource } from './source/open-source.js';
import type { LocalSource } from './source/source.js';
import { removeAbandonedWorkspaces, Workspace } from './source/workspace.js';
import { prepareWholeClip } from './video/whole-clip.js';
import { Deadline } from './work/deadline.js';
import { PreparedCache } from './work/prepared-cache.js';
import type { PreparedContent } from './work/prepared-content.js';
import { type ReportProgress, trackProgress } from './work/progress.js';
import { Semaphore } from './work/semaphore.js';
import { SharedWork } from './work/shared-work.js';

/** Documents looked at at the same time. */
const documentConcurrency = 4;

/** A prepared attachment without the name of its source. */
type Prepared = PreparedContent & { readonly kind: MediaKind; readonly fingerprint: string };

interface PreparedWith {
  readonly budget: PixelBudget;
  readonly settings: MediaSettings;
  readonly workspace: Workspace;
}

/**
 * Prepares pictures, clips, recordings and documents with sharp and ffmpeg: upright and in the right
 * colors, clips as frames over their whole length with timestamps. Pictures and clips wait in separate
 * queues, so a long clip never holds up a picture. Both are decoded in processes of their own, which are
 * ended when a picture or clip goes beyond a limit and when its caller leaves.
 *
 * @example
 * ```ts
 * const media = new DefaultMediaProcessor({ frames: 16 });
 * const clip = await media.prepare('holiday.mp4');
 * console.log(clip.parts.map((part) => part.timestampMs));
 * ```
 */
export class DefaultMediaProcessor implements MediaProcessor {
  readonly #options: ResolvedMediaOptions;
  readonly #documents = new Semaphore(documentConcurrency);
  readonly #pictures: Semaphore;
  readonly #clips: Semaphore;
  readonly #pictureProcesses = new PictureProcesses();
  readonly #cache: PreparedCache<Prepared>;
  readonly #shared = new SharedWork<Prepared>();
  readonly #budgets = new WeakMap<object, PixelBudget>();
  readonly #deadlines = new Set<Deadline>();
  /** Workspaces of clips that were handed out as files. */
  readonly #held = new Set<Workspace>();
  #closed = false;
  readonly #active = new Set<Promise<unknown>>();
  #cleaned: Promise<void> | undefined;

  constructor(options?: MediaOptions) {
    this.#options = parseOptions(mediaOptionsSchema, options, 'DefaultMediaProcessor');
    this.#pictures = new Semaphore(this.#options.concurrency);
    this.#clips = new Semaphore(this.#options.concurrency);
    this.#cache = new PreparedCache(this.#options.cacheBytes);
  }

  /**
   * @throws MediaError for every source that cannot be used; its `reason` says why.
   * @throws ClosedError after `close()`.
   * @throws `options.signal.reason` when aborted.
   */
  prepare(source: MediaSource, options: PrepareOptions = {}): Promise<PreparedMedia> {
    const work = this.#prepare(source, options);
    this.#active.add(work);
    const forget = () => this.#active.delete(work);
    work.then(forget, forget);
    return work;
  }

  /** Stops running work with a ClosedError and waits until its processes and files are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const deadline of this.#deadlines) deadline.abort(new ClosedError('media processor'));
    this.#cache.clear();
    await Promise.allSettled(this.#active);
    await this.#pictureProcesses.close();
    await Promise.all([...this.#held].map((workspace) => this.#release(workspace)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #prepare(
    source: MediaSource,
    { accepts, maxTokens, onProgress, request, signal }: PrepareOptions,
  ): Promise<PreparedMedia> {
    const { tempDir, timeoutMs } = this.#options;
    this.#cleaned ??= removeAbandonedWorkspaces(tempDir);
    await this.#cleaned;
    return this.#within(signal, async (deadline) => {
      const workspace = new Workspace(tempDir);
      let handedOver = false;
      try {
        deadline.start(timeoutMs, `"${nameOf(source)}"`);
        const local = await openSource(source, workspace, this.#options, deadline.signal);
        const format = rawPhotoFormat(local.head) ?? (await formatOf(local));
        deadline.pause();
        const settings = settingsFor(this.#options, format.kind, { accepts, maxTokens });
        const report = trackProgress(local.name, onProgress);
        report('reading', 1);
        const whole = await this.#takeWhole(local, format, settings, report, deadline);
        if (whole !== undefined) {
          handedOver = true;
          this.#held.add(workspace);
          report('ready');
          return {
            ...{ ...whole, name: local.name },
            asFrames: () => this.#framesOf(local, format, settings),
            release: () => this.#release(workspace),
          };
        }
        const key = keyOf(local, format, settings);
        const known = this.#cache.get(key);
        const budget = this.#budgetOf(request);
        // Errors name the file, so only sources of the same name wait for the same work, and a picture is
        // refused for what else is in its own request.
        const sharedKey = `${key} ${request && format.kind === 'image' ? budget.id : ''} ${local.name}`;
        const prepared =
          known ??
          (await this.#shared.run(sharedKey, deadline.signal, report, (whole, reportAll) => {
            handedOver = true;
            return this.#prepareOnce(local, format, { settings, budget, workspace }, reportAll, whole);
          }));
        // An abort counts even if the work had just finished.
        deadline.signal.throwIfAborted();
        if (!this.#closed) this.#cache.set(key, prepared);
        report('ready');
        return { ...prepared, name: local.name };
      } finally {
        if (!handedOver) await workspace.remove();
      }
    });
  }

  /** A clip that is to be uploaded as it is; `undefined` for anything else. Its file stays until it is released. */
  async #takeWhole(
    source: LocalSource,
    format: MediaFormat,
    settings: MediaSettings,
    report: ReportProgress,
    deadline: Deadline,
  ): Promise<Prepared | undefined> {
    const { signal } = deadline;
    const { kind } = format;
    if (settings.video !== 'upload' || kind !== 'video' || !isContainer(format)) return undefined;
    report('queued');
    const parts = await this.#clips.run(async () => {
      report('probing');
      deadline.start(settings.timeoutMs, `"${source.name}"`);
      const binary = await locateFfmpeg(settings.ffmpegPath);
      return prepareWholeClip(source, format, { binary, settings, signal });
    }, signal);
    // An upload is shared by its fingerprint, so samples of the bytes are not enough.
    const fingerprint = parts && (await source.digest());
    deadline.pause();
    return parts && fingerprint !== undefined ? { kind, fingerprint, ...parts } : undefined;
  }

  /** The same clip as frames; `undefined` if it cannot be decoded here, or is gone. */
  async #framesOf(
    source: LocalSource,
    format: MediaFormat,
    settings: MediaSettings,
  ): Promise<MediaFrames | undefined> {
    const key = keyOf(source, format, settings);
    const known = this.#cache.get(key);
    if (known) return known;
    return this.#within(undefined, async ({ signal }) => {
      try {
        const report = trackProgress(source.name, undefined);
        const budget = this.#budgetOf(undefined);
        const preparation = { settings, report, signal, budget, pictures: this.#pictureProcesses };
        return await this.#clips.run(() => prepareSource(source, format, preparation), signal);
      } catch (error) {
        // The model may know a codec that this ffmpeg does not.
        if (MediaError.isInstance(error)) return undefined;
        throw error;
      }
    });
  }

  async #release(workspace: Workspace): Promise<void> {
    this.#held.delete(workspace);
    // If it cannot be removed now, it is when the process ends or the next one starts.
    await workspace.remove().catch(() => undefined);
  }

  /** Waits for a place, prepares the source and removes the workspace. */
  #prepareOnce(
    source: LocalSource,
    format: MediaFormat,
    { budget, settings, workspace }: PreparedWith,
    report: ReportProgress,
    signal: AbortSignal,
  ): Promise<Prepared> {
    return this.#within(signal, async (deadline) => {
      try {
        report('queued');
        return await this.#queueOf(format.kind).run(async () => {
          deadline.start(settings.timeoutMs, `"${source.name}"`);
          const { signal } = deadline;
          const preparation = { settings, report, signal, budget, pictures: this.#pictureProcesses };
          const content = await prepareSource(source, format, preparation);
          return { kind: format.kind, ...content, fingerprint: await source.fingerprint() };
        }, deadline.signal);
      } finally {
        await workspace.remove();
      }
    });
  }

  #budgetOf(request: object | undefined): PixelBudget {
    const budget = (request && this.#budgets.get(request)) ?? new PixelBudget(this.#options.maxRequestPixels);
    if (request) this.#budgets.set(request, budget);
    return budget;
  }

  #queueOf(kind: MediaKind): Semaphore {
    if (kind === 'image') return this.#pictures;
    return kind === 'document' ? this.#documents : this.#clips;
  }

  /** Gives `task` a signal that follows `signal` and the closing of this processor. */
  async #within<T>(signal: AbortSignal | undefined, task: (deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = new Deadline(signal);
    if (this.#closed) deadline.abort(new ClosedError('media processor'));
    this.#deadlines.add(deadline);
    try {
      return await task(deadline);
    } finally {
      this.#deadlines.delete(deadline);
      deadline.release();
    }
  }
}

/** The same for the same bytes shown in the same way. */
function keyOf(source: LocalSource, format: MediaFormat, settings: MediaSettings): string {
  const { startMs, endMs } = source.excerpt ?? {};
  const { accepts, detail, frames, maxAudioMs, maxPages, maxTiles } = settings;
  const shown = [startMs, endMs, detail, frames, maxAudioMs, maxPages, maxTiles];
  return [source.identity, format.mimeType, ...shown, acceptsKey(accepts)].join(' ');
}
