import { createInterface } from 'node:readline';
import { runFfmpeg } from '../../ffmpeg/ffmpeg.js';
import type { FrameContext } from './decode-frames.js';

/** No clip within the duration limit has more; a file that claims so is only read up to here. */
const maxFrames = 5_000_000;
const noTimestamp = -(2 ** 63);

/**
 * The time of every frame in the file, in milliseconds, ascending: ffmpeg reads all packets but
 * decodes none. For clips whose header is wrong or has no duration.
 */
export async function readTimeline(
  path: string,
  streamIndex: number,
  context: FrameContext,
): Promise<readonly number[]> {
  const { value } = await runFfmpeg(
    context.binary,
    {
      name: context.name,
      input: { path },
      demuxer: context.demuxer,
      outputOptions: ['-map', `0:${streamIndex}`, '-c', 'copy', '-f', 'framecrc'],
      consume: async (output) => {
        const times = new Set<number>();
        let tickMs = 1;
        for await (const line of createInterface({ input: output })) {
          const [, numerator, denominator] = /^#tb 0: (\d+)\/(\d+)/.exec(line) ?? [];
          if (numerator) tickMs = (Number(numerator) * 1000) / Number(denominator);
          if (line.startsWith('#') || times.size >= maxFrames) continue;
          const [, dts = Number.NaN, pts = Number.NaN] = line.split(',').map(Number);
          // AVI knows only the order of decoding.
          const ticks = pts === noTimestamp ? dts : pts;
          if (Number.isFinite(ticks)) times.add(ticks * tickMs);
        }
        return times;
      },
    },
    context.settings,
    context.signal,
  );
  return [...value].filter((time) => time >= 0).sort((a, b) => a - b);
}
