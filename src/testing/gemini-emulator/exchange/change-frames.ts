import type { Injection } from '../faults/faults.js';
import { overloaded } from '../wire/error-bodies.js';
import { eventStreamType } from './respond.js';

const doneMarker = 'data: [DONE]';

const rubbish = [
  ': keep-alive\r\n\r\n',
  'data: {"candidates":[{"content":{"par\r\n\r\n',
  '<html><body>504 Gateway Time-out</body></html>\r\n\r\n',
  'event: message_stop\r\ndata: {"type":"message_stop"}\r\n\r\n',
];

/** The body of an answer as changed by faults that do not depend on time. */
export function changeFrames(
  frames: readonly string[],
  contentType: string,
  injection: Injection | undefined,
): readonly string[] {
  const error = injection?.error ?? overloaded();
  const errorEvent = `event: error\r\ndata: ${JSON.stringify(error)}\r\n\r\n`;
  switch (injection?.fault) {
    case 'reset-mid-body':
    case 'stall':
      return firstFrames(frames, injection.afterChunks);
    case 'event-error':
      return [...framesBefore(frames, contentType, injection.afterChunks), errorEvent];
    case 'error-in-stream': {
      const before = framesBefore(frames, contentType, injection.afterChunks);
      return [...before, `${JSON.stringify(error, null, 2)}\n`];
    }
    case 'truncated-json': {
      const last = frames.at(-1) ?? '';
      return [...frames.slice(0, -1), last.slice(0, Math.floor(last.length / 2))];
    }
    case 'empty-body':
      return [];
  }
  // A reply of one piece has no place for further events.
  if (contentType !== eventStreamType) return frames;
  switch (injection?.fault) {
    case 'done-marker':
      return [...frames, `${doneMarker}\r\n\r\n`];
    case 'done-marker-lf':
      return [...frames.map((frame) => frame.replaceAll('\r\n', '\n')), doneMarker];
    case 'rubbish-after-end':
      return [...frames, ...rubbish];
    case 'error-after-end':
      return [...frames, errorEvent, `data: ${JSON.stringify(error)}\r\n\r\n`];
    default:
      return frames;
  }
}

/** What comes before an error: whole events, none of an answer of one event. */
const framesBefore = (frames: readonly string[], contentType: string, count?: number) =>
  contentType === eventStreamType && frames.length === 1 ? [] : firstFrames(frames, count);

/** The first chunks; of a body in one piece its first half, so that something is always cut off. */
function firstFrames(frames: readonly string[], count = 1): readonly string[] {
  if (frames.length > 1 || count === 0) return frames.slice(0, Math.min(count, frames.length - 1));
  const only = frames[0] ?? '';
  return [only.slice(0, Math.floor(only.length / 2))];
}
