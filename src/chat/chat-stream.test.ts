import { setImmediate as nextTick } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ChatStreamEvent, Reply } from '../turn/reply.js';
import { ChatStream } from './chat-stream.js';

const reply = { text: 'Hello world', turnId: 't' } as Reply;
const done: ChatStreamEvent = { type: 'done', reply };
const text = (piece: string): ChatStreamEvent => ({ type: 'text', text: piece });
const restart: ChatStreamEvent = {
  type: 'restart',
  failure: { kind: 'incomplete', scope: 'call', message: 'It broke off.' },
};
const hello = [text('Hello '), text('world'), done];

/** A stream over a script; records how far it was read and what it was aborted with. */
function streamOf(script: readonly (ChatStreamEvent | Error)[]) {
  const log: { read: number; closed: boolean; reasons: unknown[] } = { read: 0, closed: false, reasons: [] };
  let abort: ((reason: unknown) => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = reject;
  });
  aborted.catch(() => undefined);
  async function* source(): AsyncGenerator<ChatStreamEvent, void, undefined> {
    try {
      for (const step of script) {
        log.read += 1;
        await Promise.race([aborted, nextTick()]);
        if (step instanceof Error) throw step;
        yield step;
      }
    } finally {
      log.closed = true;
    }
  }
  const stream = new ChatStream(source(), (reason) => {
    log.reasons.push(reason);
    abort?.(reason);
  });
  return { stream, log };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

const isAbort = (error: unknown) => error instanceof DOMException && error.name === 'AbortError';

describe('ChatStream', () => {
  it('yields every event and then ends', async () => {
    const { log, stream } = streamOf(hello);
    expect(await collect(stream)).toEqual(hello);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(log).toEqual({ read: 3, closed: true, reasons: [] });
  });

  it('yields the text alone as textStream', async () => {
    expect(await collect(streamOf(hello).stream.textStream)).toEqual(['Hello ', 'world']);
  });

  it('says in textStream that the answer starts again', async () => {
    const texts = await collect(streamOf([text('Hal'), restart, ...hello]).stream.textStream);
    expect(texts.join('')).toMatch(/^Hal\n\n\[.* starts again\.\]\n\nHello world$/);
  });

  it('does not say so in textStream if there was no text to take back', async () => {
    const { stream } = streamOf([{ type: 'thought', text: 'Hm.' }, restart, ...hello]);
    expect(await collect(stream.textStream)).toEqual(['Hello ', 'world']);
  });

  it('starts with the first reader, not before', async () => {
    const { log } = streamOf(hello);
    await nextTick();
    expect(log.read).toBe(0);
  });

  it('reads no further than its loop', async () => {
    const { log, stream } = streamOf(hello);
    await stream.next();
    await nextTick();
    expect(log.read).toBe(1);
  });

  it.each<[string, (stream: ChatStream) => Promise<unknown>]>([
    ['alone', (stream) => stream.reply],
    ['after the loop', (stream) => collect(stream).then(() => stream.reply)],
    ['after the loop over the text', (stream) => collect(stream.textStream).then(() => stream.reply)],
    ['inside the loop', (stream) => stream.next().then(() => stream.reply)],
    ['twice', (stream) => stream.reply.then(() => stream.reply)],
  ])('gives the reply, asked for %s', async (_, ask) => {
    const { log, stream } = streamOf(hello);
    expect(await ask(stream)).toBe(reply);
    await nextTick();
    expect(log.closed).toBe(true);
  });

  it('keeps the events for a loop that comes after the reply was asked for', async () => {
    const { stream } = streamOf(hello);
    const finished = stream.reply;
    expect(await collect(stream)).toEqual(hello);
    expect(await finished).toBe(reply);
    const late = streamOf(hello).stream;
    await late.reply;
    expect(await collect(late)).toEqual(hello);
  });

  describe('of a call that fails', () => {
    const failure = new Error('It failed.');
    const failing = () => streamOf([text('Hel'), failure]).stream;

    it('throws from the loop, once', async () => {
      const stream = failing();
      await expect(collect(stream)).rejects.toBe(failure);
      expect((await stream.next()).done).toBe(true);
    });

    it('rejects the reply, before and after the loop', async () => {
      await expect(failing().reply).rejects.toBe(failure);
      const stream = failing();
      await collect(stream).catch(() => undefined);
      await expect(stream.reply).rejects.toBe(failure);
    });

    it('throws from a loop beside the reply as well', async () => {
      const stream = failing();
      const finished = stream.reply;
      await expect(collect(stream)).rejects.toBe(failure);
      await expect(finished).rejects.toBe(failure);
    });

    it('throws from a loop that begins after the failure', async () => {
      const stream = failing();
      await stream.reply.catch(() => undefined);
      await expect(collect(stream)).rejects.toBe(failure);
    });

    it('does not leave a rejection unhandled', async () => {
      const unhandled: unknown[] = [];
      const onUnhandled = (reason: unknown) => unhandled.push(reason);
      process.on('unhandledRejection', onUnhandled);
      const stream = failing();
      void stream.reply;
      await collect(stream).catch(() => undefined);
      await nextTick();
      process.off('unhandledRejection', onUnhandled);
      expect(unhandled).toEqual([]);
    });
  });

  it('cancels the call when its loop is left', async () => {
    const { log, stream } = streamOf(hello);
    for await (const event of stream) if (event.type === 'text') break;
    expect(log).toMatchObject({ read: 1, closed: true });
    expect(isAbort(log.reasons[0])).toBe(true);
    await expect(stream.reply).rejects.toSatisfy(isAbort);
  });

  it('cancels the call when its loop over the text is left', async () => {
    const { log, stream } = streamOf(hello);
    for await (const piece of stream.textStream) if (piece !== '') break;
    expect(log.closed).toBe(true);
  });

  it('does not cancel a call whose loop is left at `done`', async () => {
    const { log, stream } = streamOf(hello);
    for await (const event of stream) if (event.type === 'done') break;
    expect(log).toMatchObject({ closed: true, reasons: [] });
    expect(await stream.reply).toBe(reply);
  });

  it.each<[string, unknown]>([
    ['the given reason', new Error('stop')],
    ['an AbortError', undefined],
  ])('rejects loop and reply with %s after cancel', async (_, reason) => {
    const { log, stream } = streamOf(hello);
    await stream.next();
    stream.cancel(reason);
    const isReason = (error: unknown) => (reason === undefined ? isAbort(error) : error === reason);
    await expect(stream.reply).rejects.toSatisfy(isReason);
    await expect(collect(stream)).rejects.toSatisfy(isReason);
    expect(log.closed).toBe(true);
  });

  it('closes the call after cancel although nobody reads on', async () => {
    const { log, stream } = streamOf(hello);
    await stream.next();
    stream.cancel();
    await nextTick();
    await nextTick();
    expect(log.closed).toBe(true);
  });

  it('ignores cancel after the end', async () => {
    const { log, stream } = streamOf(hello);
    await stream.reply;
    stream.cancel();
    expect(log.reasons).toEqual([]);
    expect(await stream.reply).toBe(reply);
  });

  it('cancels when it is disposed of', async () => {
    const { log, stream } = streamOf(hello);
    await stream.next();
    await stream[Symbol.asyncDispose]();
    expect(log.closed).toBe(true);
  });
});
