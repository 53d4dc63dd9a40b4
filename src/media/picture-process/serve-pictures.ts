import { Readable } from 'node:stream';
import { MediaError } from '../../core/errors.js';
import { prepareImage } from '../image/image.js';
import type { ImageInput } from '../image/outline.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { readMessages, writeMessage } from './messages.js';
import { hasOwnGroup } from './own-group.js';
import type { PictureLimits, PictureReply, PictureRequest, PictureVerdict } from './picture-messages.js';

/** How often the process looks at its own memory and processor time. libvips takes about 1 GB a second. */
const watchMs = 10;

type Say = (reply: PictureReply, payloads?: readonly Uint8Array[]) => void;

/** Prepares the pictures that are asked for through the standard input, one after the other. */
export async function servePictures(): Promise<void> {
  const say: Say = (reply, payloads) => writeMessage(process.stdout, reply, payloads);
  say({ type: 'ready' });
  // Read by hand, because reading ahead notices the end of the other process in the middle of a picture.
  const requests = new Readable({ read: () => undefined });
  process.stdin.on('data', (chunk) => requests.push(chunk));
  process.stdin.on('error', endNow).on('end', endNow).on('close', endNow);
  const messages = readMessages(requests, () => Number.POSITIVE_INFINITY);
  const admit = async (pixels: number) => {
    say({ type: 'sized', pixels });
    const { value } = await messages.next();
    const { refusal } = (value?.header ?? {}) as PictureVerdict;
    if (refusal !== undefined) throw new MediaError('too-large', refusal);
  };
  for (let next = await messages.next(); !next.done; next = await messages.next())
    await answer(next.value.header as PictureRequest, next.value.payloads[0], { admit, say });
}

async function answer(
  { input: { path, ...input }, limits, settings }: PictureRequest,
  bytes: Uint8Array | undefined,
  { admit, say }: { readonly admit: (pixels: number) => Promise<void>; readonly say: Say },
): Promise<void> {
  say({ type: 'begun' });
  const stopWatching = watch(limits, say);
  const report = (_stage: string, done = 0) => say({ type: 'progress', done });
  const data = path ?? bytes ?? new Uint8Array();
  try {
    const content = await prepareImage({ ...input, data }, settings, { admit, report, signal: never });
    stopWatching();
    sendContent(content, { ...input, data }, say);
  } catch (error) {
    stopWatching();
    if (!MediaError.isInstance(error)) throw error;
    const { message } = error;
    const reason = error.reason as Extract<PictureReply, { type: 'failed' }>['reason'];
    say({ type: 'failed', reason, message, rss: process.memoryUsage.rss() });
  }
}

function sendContent({ parts, ...rest }: PreparedContent, { data: given }: ImageInput, say: Say): void {
  const isInput = parts[0]?.data === given;
  const payloads = isInput ? [] : parts.map(({ data }) => data);
  const outlines = parts.map(({ data: _, ...outline }) => outline);
  say(
    { type: 'done', content: { ...rest, parts: outlines }, isInput, rss: process.memoryUsage.rss() },
    payloads,
  );
}

/** Ends the process as soon as it takes more than it may. sharp works beside this thread, so timers are in time. */
function watch({ memoryBytes, cpuMs }: PictureLimits, say: Say): () => void {
  const before = process.cpuUsage();
  const look = () => {
    const { user, system } = process.cpuUsage(before);
    const isOver =
      process.memoryUsage.rss() > memoryBytes ? 'memory' : (user + system) / 1000 > cpuMs && 'cpu';
    if (!isOver) return;
    // Written at once, as pipes are.
    say({ type: 'over', limit: isOver });
    endNow();
  };
  const timer = setInterval(look, watchMs);
  return () => clearInterval(timer);
}

/** The process is ended rather than told to: threads of libvips that work on would be waited for. So is its ffmpeg. */
function endNow(): void {
  process.kill(hasOwnGroup ? -process.pid : process.pid, 'SIGKILL');
}

const never = new AbortController().signal;
