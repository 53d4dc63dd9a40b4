import type { ServerResponse } from 'node:http';
import { onAbort } from '../../../core/abort.js';
import { type Clock, sleep } from '../../../core/clock.js';
import type { FaultName, Injection } from '../faults/faults.js';
import type { OpenCall } from '../journal/call-log.js';
import { changeFrames } from './change-frames.js';

/** An answer to be sent, and how. */
export interface Delivery {
  readonly response: ServerResponse;
  readonly contentType: string;
  /** The body in the pieces that it is streamed in. */
  readonly frames: readonly string[];
  readonly clock: Clock;
  readonly firstChunkDelayMs: number;
  readonly chunkDelayMs: number;
  readonly injection: Injection | undefined;
  readonly connection: OpenCall;
}

const trickleBytes = 24;
const defaultTrickleDelayMs = 5;
const defaultSlowDelayMs = 3000;
const defaultThinkingMs = 10_000;
/** Faults that need each frame to leave by itself, or the connection to end in another way. */
const paced: ReadonlySet<string | undefined> = new Set<FaultName>([
  'reset-mid-body',
  'stall',
  'trickle',
  'split-utf8',
  'crlf',
  'open-end',
  'reset-after-end',
  'slow-thinking',
]);

/** Sends an answer, changed as the injected fault demands. */
export async function deliver(delivery: Delivery): Promise<void> {
  const { response, clock, connection, injection } = delivery;
  const fault = injection?.fault;
  const delayMs =
    fault === 'slow-first-byte' ? (injection?.delayMs ?? defaultSlowDelayMs) : delivery.firstChunkDelayMs;
  if (delayMs > 0) await sleep(clock, delayMs, connection.signal);

  response.writeHead(200, {
    'Content-Type': fault === 'wrong-content-type' ? 'text/html; charset=UTF-8' : delivery.contentType,
  });
  const frames = changeFrames(delivery.frames, delivery.contentType, injection);
  if (delivery.chunkDelayMs === 0 && !paced.has(fault)) {
    response.cork();
    for (const frame of frames) response.write(frame);
    response.end();
    response.uncork();
    return;
  }
  await writePieces(delivery, frames);
  if (fault === 'stall' || fault === 'open-end') {
    response.flushHeaders();
    await new Promise<void>((resolve) => onAbort(connection.signal, () => resolve()));
  } else if (fault === 'reset-mid-body') connection.cut();
  else if (fault === 'reset-after-end') connection.reset();
  else response.end();
}

async function writePieces(delivery: Delivery, frames: readonly string[]): Promise<void> {
  const { response, clock, connection, injection } = delivery;
  const { signal: gone } = connection;
  const fault = injection?.fault;
  const silentBefore = fault === 'slow-thinking' ? (injection?.afterChunks ?? 0) : undefined;
  if (silentBefore === 0) response.flushHeaders();
  for (const [index, frame] of frames.entries()) {
    if (index === silentBefore) await sleep(clock, injection?.delayMs ?? defaultThinkingMs, gone);
    else if (index > 0 && delivery.chunkDelayMs > 0) await sleep(clock, delivery.chunkDelayMs, gone);
    for (const piece of piecesOf(frame, fault)) {
      if (gone.aborted) throw gone.reason;
      await write(response, piece);
      if (fault === 'trickle') await sleep(clock, injection?.delayMs ?? defaultTrickleDelayMs, gone);
    }
  }
}

function piecesOf(frame: string, fault: string | undefined): Iterable<string | Buffer> {
  if (fault === 'trickle') return slices(Buffer.from(frame), everyBytes);
  if (fault === 'split-utf8') return slices(Buffer.from(frame), insideCharacters);
  return fault === 'crlf' ? frame.split(/(?<=\r)(?=\n)/) : [frame];
}

function* slices(bytes: Buffer, cuts: (bytes: Buffer) => Iterable<number>): Iterable<Buffer> {
  let from = 0;
  for (const at of cuts(bytes)) {
    yield bytes.subarray(from, at);
    from = at;
  }
  if (from < bytes.length) yield bytes.subarray(from);
}

function* everyBytes(bytes: Buffer): Iterable<number> {
  for (let at = trickleBytes; at < bytes.length; at += trickleBytes) yield at;
}

/** After the first byte of each character of several bytes. */
function* insideCharacters(bytes: Buffer): Iterable<number> {
  for (let at = 0; at < bytes.length; at++) if ((bytes[at] ?? 0) >= 0xc0) yield at + 1;
}

/** Resolves once the piece has left the process, so that the next one becomes its own packet. */
function write(response: ServerResponse, piece: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(piece, (error) => (error ? reject(error) : setImmediate(resolve)));
  });
}
