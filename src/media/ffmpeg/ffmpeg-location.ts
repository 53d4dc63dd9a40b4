import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { MediaError } from '../../core/errors.js';
import { loadInstalled } from '../../core/installed.js';

/** A working ffmpeg. */
export interface FfmpegBinary {
  readonly path: string;
  /** Output options that pass every frame on once, at its own time; their name changed in 5.1. */
  readonly passthrough: readonly string[];
  /**
   * The filter that logs the time of each frame, in lines that begin with its name, which no file can know.
   * showinfo also computes checksums, which takes as long as encoding; before 5.1 there may be no other,
   * because `metadata` skipped frames without any.
   */
  readonly logTimes: string;
}

/** The name that the logging filter gets, unknown to files, whose titles are logged as well. */
export const timesFilter = `times${randomBytes(8).toString('hex')}`;

const known = new Map<string, Promise<FfmpegBinary>>();

/**
 * Finds ffmpeg: the given path, `FFMPEG_PATH`, `PATH`, the package `@ffmpeg-installer/ffmpeg`. A path
 * that was given and does not work is an error; it is never silently replaced by another.
 *
 * @throws MediaError `unavailable`
 */
export async function locateFfmpeg(configured: string | undefined): Promise<FfmpegBinary> {
  const asked = configured || process.env.FFMPEG_PATH;
  const path = asked || (await searchPath()) || (await installedPackage());
  const checked = known.get(path) ?? check(path);
  known.set(path, checked);
  // A failure is not remembered: the file may be repaired by the next call.
  checked.catch(() => known.delete(path));
  return checked;
}

async function check(path: string): Promise<FfmpegBinary> {
  try {
    const { stdout } = await promisify(execFile)(path, ['-hide_banner', '-version'], { timeout: 20_000 });
    return isFrom51On(stdout)
      ? {
          path,
          passthrough: ['-fps_mode', 'passthrough'],
          logTimes: `metadata=mode=add:key=shown:value=1,metadata@${timesFilter}=mode=print`,
        }
      : { path, passthrough: ['-vsync', '0'], logTimes: `showinfo@${timesFilter}` };
  } catch (cause) {
    throw new MediaError(
      'unavailable',
      `ffmpeg at ${path} does not run. Repair it, or set FFMPEG_PATH to another.`,
      {
        cause,
      },
    );
  }
}

/** The libavutil of FFmpeg 5.1 is 57.28; snapshots carry no other usable version. */
function isFrom51On(version: string): boolean {
  const [, major = 0, minor = 0] = (/libavutil\s+(\d+)\.\s*(\d+)/.exec(version) ?? []).map(Number);
  return major > 57 || (major === 57 && minor >= 28);
}

async function searchPath(): Promise<string | undefined> {
  const name = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg';
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    if (!directory) continue;
    const path = join(directory, name);
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return undefined;
}

const installer = '@ffmpeg-installer/ffmpeg';
const importInstaller = (): Promise<{ readonly default: typeof import('@ffmpeg-installer/ffmpeg') }> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ installer);

/** An optional dependency: absent if it was omitted or has no build for the platform. */
async function installedPackage(): Promise<string> {
  try {
    return (await loadInstalled(installer, importInstaller)).default.path;
  } catch (cause) {
    throw new MediaError(
      'unavailable',
      `ffmpeg is needed for clips, recordings and HEIC pictures, and there is none. Install it (apt install ffmpeg, brew install ffmpeg, or npm install ${installer}), or set FFMPEG_PATH. (${describeReason(cause)})`,
      { cause },
    );
  }
}

/** The installer throws texts; Node says in further lines what required what. */
const describeReason = (cause: unknown) =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
