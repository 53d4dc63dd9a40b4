import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type KeyPool, type MemoryStore, MultimodalChat } from 'multimodal-chat';
import { createHandler, type Handler } from 'multimodal-chat/http';
import { vi } from 'vitest';
import { createLog } from '../../examples/express-server/log.js';
import { logChatEvents, makeFailureLog } from '../../examples/express-server/log-events.js';
import { everyEventOf, everythingOf, everyWarning } from './everything-shown.js';
import { carriers, encodings, keyValue, sightings } from './planted-keys.js';
import { deliveries, recordedReplies } from './planted-replies.js';
import { startWireServer } from './wire-server.js';

/** Everything shown of a call, by place. */
type Shown = Readonly<Record<string, string>>;

const wordsOf = async (response: Response) =>
  `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;

const question = { prompt: 'Hello', sessionId: 'one' };

const overHttp = (accept: string) => (_chat: MultimodalChat, handler: Handler) => {
  const body = JSON.stringify({ prompt: question.prompt, session_id: question.sessionId });
  const headers = { 'content-type': 'application/json', accept };
  return handler(new Request('http://localhost/infer', { method: 'POST', body, headers })).then(wordsOf);
};

/** Every way to ask; each returns everything that its caller gets. */
const waysToAsk: Readonly<Record<string, (chat: MultimodalChat, handler: Handler) => Promise<string>>> = {
  send: (chat) => chat.send(question).then(everythingOf, everythingOf),
  stream: async (chat) => {
    const parts: unknown[] = [];
    try {
      for await (const part of chat.stream(question)) parts.push(part);
    } catch (error) {
      parts.push(error);
    }
    return parts.map(everythingOf).join('\n');
  },
  'text/plain': overHttp('text/plain'),
  'application/json': overHttp('application/json'),
  'text/event-stream': overHttp('text/event-stream'),
};

/** A reply with a key in it, and the call that gets it. */
export const planting = fc.record({
  keys: fc.array(keyValue, { minLength: 3, maxLength: 3 }),
  /** Index of the planted key: mostly that of the call itself, the first one. */
  planted: fc.constantFrom<number>(0, 0, 1, 2),
  carrier: fc.constantFrom(...Object.keys(carriers)),
  encoding: fc.constantFrom(...Object.keys(encodings)),
  delivery: fc.constantFrom(...Object.keys(deliveries)),
  place: fc.nat({ max: 63 }),
  way: fc.constantFrom(...Object.keys(waysToAsk)),
  onPartialOutput: fc.constantFrom('restart' as const, 'fail' as const),
});

export type Planting = typeof planting extends fc.Arbitrary<infer Value> ? Value : never;

/** The recorded reply with a key in it. */
export function plantedReply(name: string, given: Omit<Planting, 'way' | 'onPartialOutput'>) {
  const recorded = recordedReplies.find((reply) => reply.name === name);
  const key = encodings[given.encoding]?.(given.keys[given.planted] ?? '') ?? '';
  const reply =
    recorded && deliveries[given.delivery]?.(recorded, carriers[given.carrier]?.(key) ?? '', given.place);
  if (!reply) throw new Error(`There is no ${name}, or no delivery ${given.delivery}.`);
  return reply;
}

/** The places where pieces of keys are seen. */
export const leaksIn = (shown: Shown, keys: readonly string[]): readonly string[] =>
  Object.entries(shown).flatMap(([where, text]) => {
    const seen = sightings(text, keys);
    return seen.length > 0 ? [`${where} shows ${seen.length} pieces of a key, such as ${seen[0]}`] : [];
  });

/** The service that calls are made to, and the directory of their traces. */
export async function openPlantedCalls() {
  const directory = await mkdtemp(join(tmpdir(), 'secrets-test-'));
  const server = await startWireServer();
  // Loaded on first use, which must not take the time of the first call.
  await import('@google/genai');
  const written: string[] = [];
  const consoles = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((text) => written.push(String(text)) > 0),
  );

  /** Makes one call to a service that writes a key into its reply; returns everything shown of it anywhere. */
  async function call(
    name: string,
    given: Planting,
    parts: { readonly keyPool: KeyPool; readonly memory?: MemoryStore },
  ): Promise<Shown> {
    server.answer(plantedReply(name, given));
    const { keyPool, memory = ':memory:' } = parts;
    const chat = new MultimodalChat({
      keyPool,
      memory,
      baseUrl: server.url,
      fallbackModels: ['gemini-3.5-flash-lite'],
      retry: { maxAttempts: 2, baseDelayMs: 1, maxDelayMs: 1, onPartialOutput: given.onPartialOutput },
      timeouts: { callMs: 2000 },
    });
    const events = everyEventOf(chat);
    const warnings = everyWarning();
    const logFile = join(directory, 'chat.log');
    // Without secrets of its own, so that the log shows what reaches it.
    const log = createLog({ level: 'DEBUG', file: logFile, secrets: [] });
    const logFailure = makeFailureLog(log);
    logChatEvents(chat, log, logFailure);
    const handler = createHandler(chat, { tempDir: directory, onError: (error) => logFailure(error) });
    const get = async (path: string) => wordsOf(await handler(new Request(`http://localhost${path}`)));
    written.length = 0;
    try {
      const answer = await waysToAsk[given.way]?.(chat, handler);
      if (server.received === 0) throw new Error('The service received no call.');
      return {
        answer: answer ?? '',
        events: events(),
        stats: everythingOf(await chat.stats()),
        '/stats': await get('/stats'),
        '/health': await get('/health'),
        chat: everythingOf(chat),
        pool: everythingOf(keyPool),
        handler: everythingOf(handler),
        console: written.join(''),
        'the log file': await readFile(logFile, 'utf8'),
        warnings: warnings.shown(),
      };
    } finally {
      warnings.stop();
      await chat.close();
      await rm(logFile, { force: true });
    }
  }

  async function close(): Promise<void> {
    for (const spy of consoles) spy.mockRestore();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  }
  return { call, directory, server, close };
}
