import type { ServerResponse } from 'node:http';
import { onAbort } from '../../../core/abort.js';
import { type Clock, sleep } from '../../../core/clock.js';
import type { Injection } from '../faults/faults.js';
import type { OpenCall } from '../journal/call-log.js';
import { overloaded } from '../wire/error-bodies.js';
import type { WireErrorBody } from '../wire/messages.js';

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
  const frames = changedFrames(delivery.frames, injection);
  const endsEarly = fault === 'reset-mid-body' || fault === 'stall';
  if (delivery.chunkDelayMs === 0 && !endsEarly && fault !== 'trickle' && !isSplit(fault)) {
    response.cork();
    for (const frame of frames) response.write(frame);
    response.end();
    response.uncork();
    return;
  }
  await writePieces(delivery, frames);
  if (fault === 'stall') {
    response.flushHeaders();
    await new Promise<void>((resolve) => onAbort(connection.signal, () => resolve()));
  } else if (fault === 'reset-mid-body') connection.cut();
  else response.end();
}

async function writePieces(delivery: Delivery, frames: readonly string[]): Promise<void> {
  const { response, clock, connection, injection } = delivery;
  const { signal: gone } = connection;
  const fault = injection?.fault;
  let isFirst = true;
  for (const frame of frames) {
    if (!isFirst && delivery.chunkDelayMs > 0) await sleep(clock, delivery.chunkDelayMs, gone);
    isFirst = false;
    for (const piece of piecesOf(frame, fault)) {
      if (gone.aborted) throw gone.reason;
      await write(response, piece);
      if (fault === 'trickle') await sleep(clock, injection?.delayMs ?? defaultTrickleDelayMs, gone);
    }
  }
}

const isSplit = (fault: string | undefined) => fault === 'split-utf8' || fault === 'crlf';

/** The frames as changed by faults that do not depend on time. */
function changedFrames(frames: readonly string[], injection: Injection | undefined): readonly string[] {
  const fault = injection?.fault;
  const error: WireErrorBody = injection?.error ?? overloaded();
  switch (fault) {
    case 'reset-mid-body':
    case 'stall':
      return firstFrames(frames, injection?.afterChunks);
    case 'event-error':
      return [
        ...firstFrames(frames, injection?.afterChunks),
        `event: error\r\ndata: ${JSON.stringify(error)}\r\n\r\n`,
      ];
    case 'error-in-stream':
      return [...firstFrames(frames, injection?.afterChunks), `${JSON.stringify(error, null, 2)}\n`];
    case 'truncated-json': {
      const last = frames.at(-1) ?? '';
      return [...frames.slice(0, -1), last.slice(0, Math.floor(last.length / 2))];
    }
    case 'empty-body':
      return [];
    default:
      return frames;
  }
}

/** The first chunks; of a body in one piece its first half, so that something is always cut off. */
function firstFrames(frames: readonly string[], count = 1): readonly string[] {
  if (frames.length > 1 || count === 0) return frames.slice(0, Math.min(count, frames.length - 1));
  const only = frames[0] ?? '';
  return [only.slice(0, Math.floor(only.length / 2))];
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
