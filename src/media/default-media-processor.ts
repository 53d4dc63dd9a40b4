import { MediaError } from '../errors.js';
import type { MediaSource, PreparedMedia } from '../types.js';
import { bitmapToPng } from './bitmap.js';
import { Deadline } from './deadline.js';
import { prepareDocument } from './document.js';
import { locateFfmpeg } from './ffmpeg-location.js';
import { type PreparedParts, prepareImage } from './image.js';
import { type MediaOptions, type MediaSettings, resolveMediaOptions } from './media-options.js';
import type { MediaProcessor, PrepareOptions } from './media-processor.js';
import { type ReportProgress, trackProgress } from './progress.js';
import { Semaphore } from './semaphore.js';
import { type SniffedFormat, sniffFormat } from './sniff.js';
import { type LocalSource, openSource } from './source.js';
import { prepareClip } from './video/prepare-video.js';
import { removeAbandonedWorkspaces, Workspace } from './workspace.js';

/** Pictures encoded at the same time; sharp spreads each over the processors itself. */
const pictureConcurrency = 4;

/**
 * Prepares pictures, clips, recordings and documents with sharp and ffmpeg: upright and in the right
 * colours, clips as frames over their whole length with timestamps. Pictures have places of their
 * own, so a long clip never holds them up.
 *
 * @example
 * ```ts
 * const media = new DefaultMediaProcessor({ frames: 16 });
 * const clip = await media.prepare('holiday.mp4');
 * console.log(clip.parts.map((part) => part.timestampMs));
 * ```
 */
export class DefaultMediaProcessor implements MediaProcessor {
  readonly #settings: MediaSettings;
  readonly #pictures = new Semaphore(pictureConcurrency);
  readonly #clips: Semaphore;
  readonly #deadlines = new Set<Deadline>();
  #closed = false;
  readonly #active = new Set<Promise<unknown>>();
  #cleaned: Promise<void> | undefined;

  constructor(options?: MediaOptions) {
    this.#settings = resolveMediaOptions(options);
    this.#clips = new Semaphore(this.#settings.concurrency);
  }

  /**
   * @throws MediaError for every source that cannot be used; its `reason` says why.
   * @throws `options.signal.reason` when aborted.
   */
  prepare(source: MediaSource, options: PrepareOptions = {}): Promise<PreparedMedia> {
    const work = this.#prepare(source, options);
    this.#active.add(work);
    const forget = () => this.#active.delete(work);
    work.then(forget, forget);
    return work;
  }

  /** Stops what is under way and waits until its processes and files are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const deadline of this.#deadlines) deadline.abort(closedError());
    await Promise.allSettled(this.#active);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #prepare(source: MediaSource, { signal, onProgress }: PrepareOptions): Promise<PreparedMedia> {
    const { tempDir } = this.#settings;
    this.#cleaned ??= removeAbandonedWorkspaces(tempDir);
    await this.#cleaned;
    const workspace = new Workspace(tempDir);
    const deadline = new Deadline(signal);
    if (this.#closed) deadline.abort(closedError());
    this.#deadlines.add(deadline);
    try {
      deadline.start(this.#settings.timeoutMs, 'The attachment');
      const local = await openSource(source, workspace, this.#settings, deadline.signal);
      const format = sniffFormat(local.head, local);
      const report = trackProgress(local.name, onProgress);
      report('reading', 1);
      const places = format.kind === 'video' || format.kind === 'audio' ? this.#clips : this.#pictures;
      report('queued');
      deadline.pause();
      const prepared = await places.run(() => {
        deadline.start(this.#settings.timeoutMs, `"${local.name}"`);
        return this.#convert(local, format, report, deadline.signal);
      }, deadline.signal);
      // Work that had just finished when it was called off is called off all the same.
      deadline.signal.throwIfAborted();
      report('ready');
      return { kind: format.kind, ...prepared, name: local.name, fingerprint: local.fingerprint };
    } finally {
      this.#deadlines.delete(deadline);
      deadline.release();
      await workspace.remove();
    }
  }

  async #convert(
    source: LocalSource,
    format: SniffedFormat,
    report: ReportProgress,
    signal: AbortSignal,
  ): Promise<PreparedParts> {
    const settings = this.#settings;
    if (format.kind === 'document') return prepareDocument(source, format.mimeType, settings);
    if (format.kind === 'image') return this.#convertPicture(source, format.mimeType, report, signal);
    const { demuxer } = format;
    if (!demuxer) throw new MediaError('unsupported', `"${source.name}" cannot be decoded here.`);
    const binary = await locateFfmpeg(settings.ffmpegPath);
    return prepareClip(source, { ...format, demuxer }, { binary, settings, report, signal });
  }

  async #convertPicture(source: LocalSource, mimeType: string, report: ReportProgress, signal: AbortSignal) {
    const settings = this.#settings;
    const { name, bytes } = source;
    if (mimeType !== 'image/bmp') {
      const data = source.data ?? (await source.path());
      return prepareImage({ name, mimeType, bytes, data }, settings, report, signal);
    }
    const binary = await locateFfmpeg(settings.ffmpegPath);
    const data = await bitmapToPng(await source.read(), name, binary, settings, signal);
    return prepareImage({ name, mimeType, bytes, data }, settings, report, signal);
  }
}

function closedError(): MediaError {
  return new MediaError('unavailable', 'The media processor is closed. Make a new one.');
}
