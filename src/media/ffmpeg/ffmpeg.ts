import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { onAbort } from '../../core/abort.js';
import { MediaError } from '../../core/errors.js';
import { loadInstalled } from '../../core/installed.js';
import { demuxerAlias } from '../source/formats.js';
import type { FfmpegBinary } from './ffmpeg-location.js';

/** One run of ffmpeg. */
export interface FfmpegJob<T> {
  /** The attachment, for messages. */
  readonly name: string;
  /** A file, or bytes that are piped in. */
  readonly input: { readonly path: string } | { readonly stream: Readable };
  /** The demuxer that reads the input, as `sniffFormat` names it. No other may. */
  readonly demuxer: string;
  /** Options of the input, such as `-ss`. */
  readonly inputOptions?: readonly string[];
  readonly outputOptions: readonly string[];
  /** Reads the output to its end. What it throws ends ffmpeg and rejects the run. */
  readonly consume: (output: Readable) => Promise<T>;
  /** Each line of the log. */
  readonly onLog?: (line: string) => void;
}

export interface FfmpegResult<T> {
  readonly value: T;
  /** False when ffmpeg reported a failure; the output up to there may still be good. */
  readonly ok: boolean;
  /** The last lines of the log. */
  readonly log: string;
  /**
   * To be thrown if the output is not all that was asked for: memory was refused. A damaged file may ask for
   * any amount in one place, and is good in the others.
   */
  readonly refused: MediaError | undefined;
}

export interface FfmpegLimits {
  readonly maxPixels: number;
  readonly timeoutMs: number;
}

const keptLogLines = 60;
/** Three times a picture of the largest common size. The index of a clip that lies about its length is larger. */
const maxAllocationBytes = 2 ** 29;
/** Address space of one process: an 8K clip in 10 bits fits, with the libraries themselves. */
const maxMemoryBytes = 2 ** 31;
/** Sets limits where the shell knows them, then becomes ffmpeg, so that a signal reaches ffmpeg itself. */
const limitedStart = `ulimit -c 0; ulimit -v ${maxMemoryBytes / 1024} 2>/dev/null; exec "$0" "$@"`;
const shell = '/bin/sh';
/** Windows has none, and neither have some containers: only the limits that ffmpeg knows hold there. */
const hasShell = process.platform !== 'win32' && existsSync(shell);

const fluentName = 'fluent-ffmpeg';
const importFluent = (): Promise<{ readonly default: typeof import('fluent-ffmpeg') }> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ fluentName);

/** It has CommonJS names such as `__dirname`, which a bundle in ES modules has not. */
async function loadFluent() {
  try {
    return (await loadInstalled(fluentName, importFluent)).default;
  } catch (cause) {
    throw new MediaError(
      'unavailable',
      'The package fluent-ffmpeg cannot be loaded. Run npm install again; beside a bundle, run npm install fluent-ffmpeg.',
      { cause },
    );
  }
}

/** Processes that are running, so that none outlives this one. */
const running = new Set<ChildProcess>();

function killRunning(): void {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * The parts of fluent-ffmpeg that are replaced on each command. They are not in its types.
 * - The capability check starts two processes to learn what we know.
 * - The path lookup has one cache for the whole process, which two processors would share.
 * - The end callback reads buffers that do not exist if the process could not start, which would be an
 *   uncaught exception.
 */
interface CommandInternals {
  ffmpegProc?: ChildProcess;
  _checkCapabilities(done: (error?: Error) => void): void;
  availableEncoders(done: (error: null, encoders: object) => void): void;
  _getFfmpegPath(done: (error: null, path: string) => void): void;
  _spawnFfmpeg(args: string[], options: object, onProcess: unknown, onEnd: EndCallback): void;
}
type LineRing = { get(): string };
type EndCallback = (error?: Error | null, stdout?: LineRing, stderr?: LineRing) => void;

/**
 * Runs ffmpeg so that it reads nothing but its input: one demuxer, only local protocols, bounded
 * pixels, allocations and processor time. Settles after the process is gone.
 *
 * @throws MediaError `unavailable` when it cannot be started; `too-large` when it needs more memory than it
 * may have; `signal.reason` on abort.
 */
export async function runFfmpeg<T>(
  binary: FfmpegBinary,
  job: FfmpegJob<T>,
  limits: FfmpegLimits,
  signal: AbortSignal,
): Promise<FfmpegResult<T>> {
  signal.throwIfAborted();
  const fluent = await loadFluent();
  const command = fluent({ stdoutLines: keptLogLines });
  const internals = command as unknown as CommandInternals;
  adjust(internals, binary.path);

  const isFile = 'path' in job.input;
  command.input('path' in job.input ? `file:${job.input.path}` : job.input.stream);
  command.inputOptions(...safeInputOptions(job.demuxer, isFile, limits), ...(job.inputOptions ?? []));
  // fluent-ffmpeg reports a closed output as a failure, so this one stays open after its end.
  let hasOutput = false;
  const output = new Transform({
    ...{ autoDestroy: false, emitClose: false, highWaterMark: 2 ** 20 },
    transform: (chunk, _, done) => {
      hasOutput = true;
      done(null, chunk);
    },
  });
  command.output(output).outputOptions(...job.outputOptions, '-threads', '1');

  let killed = false;
  let lackedMemory = false;
  const kill = () => {
    killed = true;
    internals.ffmpegProc?.kill('SIGKILL');
  };
  const log: string[] = [];
  command.on('stderr', (line: string) => {
    log.push(line);
    lackedMemory ||= refusedMemory.test(line);
    if (log.length > keptLogLines) log.shift();
    job.onLog?.(line);
  });
  command.on('start', () => {
    const child = internals.ffmpegProc;
    if (!child) return;
    if (running.size === 0) process.once('exit', killRunning);
    running.add(child);
    child.once('exit', () => {
      running.delete(child);
      if (running.size === 0) process.removeListener('exit', killRunning);
    });
    // For an abort that came before the process existed.
    if (killed) kill();
  });
  const exit = new Promise<Error | undefined>((resolve) => {
    command.on('end', () => resolve(undefined));
    command.on('error', (error: Error) => {
      output.end();
      resolve(error);
    });
  });

  const unsubscribe = onAbort(signal, kill);
  try {
    const work = job.consume(output).then(
      (value) => ({ value }),
      (error: unknown) => {
        kill();
        output.resume();
        return { error };
      },
    );
    command.run();
    const [failure, outcome] = await Promise.all([exit, work]);
    signal.throwIfAborted();
    if ('error' in outcome) throw outcome.error;
    if (failure && isSpawnFailure(failure)) {
      throw new MediaError('unavailable', `ffmpeg could not be started: ${failure.message}`, {
        cause: failure,
      });
    }
    const refused = lackedMemory || isCrash(failure) ? tooMuchMemory(job.name) : undefined;
    if (refused && !hasOutput) throw refused;
    return { value: outcome.value, ok: !failure, log: log.join('\n'), refused };
  } finally {
    unsubscribe();
    if ('stream' in job.input) job.input.stream.destroy();
  }
}

function safeInputOptions(demuxer: string, isFile: boolean, limits: FfmpegLimits): string[] {
  return [
    '-hide_banner',
    '-nostdin',
    '-nostats',
    '-timelimit',
    String(Math.ceil(limits.timeoutMs / 1000) * 4),
    '-max_alloc',
    String(maxAllocationBytes),
    '-protocol_whitelist',
    isFile ? 'file' : 'pipe',
    '-format_whitelist',
    demuxer,
    '-f',
    demuxerAlias(demuxer),
    '-max_pixels',
    String(limits.maxPixels),
    '-threads',
    '2',
    // One for each processor otherwise, for work of a few milliseconds.
    '-filter_threads',
    '1',
  ];
}

function adjust(command: CommandInternals, path: string): void {
  const empty: LineRing = { get: () => '' };
  const spawn = command._spawnFfmpeg;
  command._checkCapabilities = (done) => done();
  command.availableEncoders = (done) => done(null, {});
  command._getFfmpegPath = (done) => done(null, hasShell ? shell : path);
  command._spawnFfmpeg = (args, options, onProcess, onEnd) => {
    const end: EndCallback = (error, stdout = empty, stderr = empty) => onEnd(error, stdout, stderr);
    try {
      const limited = hasShell ? ['-c', limitedStart, path, ...args] : args;
      spawn.call(command, limited, options, onProcess, end);
    } catch (error) {
      end(error as Error);
    }
  };
}

function isSpawnFailure(error: Error): boolean {
  // 126 and 127: the shell could not become ffmpeg.
  return !/^ffmpeg (exited|was killed)/.test(error.message) || /exited with code 12[67]/.test(error.message);
}

/** How ffmpeg and its decoders say that they were given no memory. Titles of a file are indented. */
const refusedMemory = /^(?!\s).*(Cannot allocate memory|get_buffer\(\) failed|[Mm]alloc.* failed)/;

/** Some decoders do not check whether they were given memory. */
function isCrash(failure: Error | undefined): boolean {
  return /killed with signal (SIGSEGV|SIGABRT|SIGBUS)/.test(failure?.message ?? '');
}

function tooMuchMemory(name: string): MediaError {
  return new MediaError(
    'too-large',
    `"${name}" needs more than ${maxMemoryBytes / 2 ** 30} GiB of memory to decode. Send it with fewer pixels or frames, or export it again.`,
  );
}
