import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { EmbeddedMemoryStore, GeminiEmbedder, GeminiModel, ScheduledKeyPool } from 'multimodal-chat';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everythingOf } from '../support/everything-shown.js';
import { leaksIn, openPlantedCalls, type Planting, plantedReply, planting } from '../support/planted-call.js';
import { sightings } from '../support/planted-keys.js';
import { deliveries, recordedReplies, type WireReply } from '../support/planted-replies.js';

let calls: Awaited<ReturnType<typeof openPlantedCalls>>;
beforeAll(async () => {
  calls = await openPlantedCalls();
});
afterAll(() => calls.close());

const names = recordedReplies.map(({ name }) => name);
const runs = Number(process.env.SECRETS_RUNS ?? 8);

const keys = ['AIzaSyA1-hZ0_first9PqLr3kVtGm8dWcX5b7nJf', 'b2/"f8 Qz%w-7Kd0&Lm+51x', 'c3d0Vw9JtR6sHn1YbE4u'];
const plain: Planting = {
  keys,
  planted: 0,
  carrier: 'consumer',
  encoding: 'as it is',
  delivery: 'as recorded',
  place: 0,
  way: 'send',
  onPartialOutput: 'fail',
};

describe('A key that the service writes into its reply', () => {
  it.each(names)('appears nowhere: %s', { timeout: 120_000 }, async (name) => {
    await fc.assert(
      fc.asyncProperty(planting, async (given) => {
        const keyPool = new ScheduledKeyPool({ keys: given.keys });
        const shown = await calls.call(name, given, { keyPool });
        await keyPool.close();
        expect(leaksIn(shown, given.keys)).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it.each(keys.map((_, planted) => planted))('is cut out of its sentence: key %i', async (planted) => {
    const keyPool = new ScheduledKeyPool({ keys });
    const given = { ...plain, planted, encoding: 'for JSON' };
    const shown = await calls.call('503_overloaded', given, { keyPool });
    const sentence = "Permission denied: Consumer 'api_key:***' has been suspended";
    for (const where of ['answer', 'events', 'console', 'the log file'])
      expect(shown[where]).toContain(sentence);
    expect(leaksIn(shown, keys)).toEqual([]);
  });

  it('is in no file of the memory', { timeout: 120_000 }, async () => {
    const memory = new EmbeddedMemoryStore({ path: join(calls.directory, 'memory', 'memory.sqlite') });
    for (const name of names) {
      for (const delivery of Object.keys(deliveries)) {
        await calls.call(name, { ...plain, delivery }, { keyPool: new ScheduledKeyPool({ keys }), memory });
      }
    }
    expect((await memory.stats()).turns).toBeGreaterThan(0);
    await memory.close();
    const files = await readdir(join(calls.directory, 'memory'));
    expect(files).toContain('memory.sqlite');
    for (const file of files) {
      const bytes = await readFile(join(calls.directory, 'memory', file), 'latin1');
      expect(sightings(bytes, keys)).toEqual([]);
    }
  });

  it.each(names)('is in no error of the embedder: %s', async (name) => {
    await fc.assert(
      fc.asyncProperty(planting, async (given) => {
        calls.server.answer(plantedReply(name, given));
        const keyPool = new ScheduledKeyPool({ keys: given.keys, maxWaitMs: 500 });
        const embedder = new GeminiEmbedder({ keyPool, baseUrl: calls.server.url });
        const error = await embedder
          .embed(['hello'], { purpose: 'document' })
          .catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(Error);
        expect(leaksIn({ error: everythingOf(error), embedder: everythingOf(embedder) }, given.keys)).toEqual(
          [],
        );
      }),
      { numRuns: Math.ceil(runs / 3) },
    );
  });
});

describe('A key that the service writes into its reply to an upload', () => {
  const clip = () => join(calls.directory, 'clip.mp4');
  beforeAll(() => writeFile(clip(), Buffer.alloc(1000, 7)));

  /** What is thrown by a call that has to upload a file first. */
  async function errorOf(reply: WireReply, secrets: readonly string[]): Promise<unknown> {
    const uploading = { 'x-goog-upload-url': calls.server.url, 'x-goog-upload-status': 'final' };
    calls.server.answer({ ...reply, headers: { ...reply.headers, ...uploading } });
    const model = new GeminiModel({ baseUrl: calls.server.url, secrets: () => secrets });
    const upload = {
      type: 'upload',
      path: clip(),
      mimeType: 'video/mp4',
      fingerprint: 'f1',
      name: 'clip.mp4',
    } as const;
    const messages = [{ role: 'user', parts: [upload, { type: 'text', text: 'What is it?' }] }] as const;
    const request = { model: 'gemini-3.8-flash', messages, generation: {} };
    const stream = model.stream(request, { apiKey: secrets[0] ?? '' });
    return stream.next().catch((error: unknown) => error);
  }

  it.each(names)('is in no error: %s', async (name) => {
    await fc.assert(
      fc.asyncProperty(planting, async (given) => {
        const error = await errorOf(plantedReply(name, given), given.keys);
        expect(error).toBeInstanceOf(Error);
        expect(leaksIn({ error: everythingOf(error) }, given.keys)).toEqual([]);
      }),
      { numRuns: Math.ceil(runs / 3) },
    );
  });

  it.each(keys)('is not in the reason why a file could not be processed: %s', async (key) => {
    const file = {
      name: 'files/f1',
      uri: 'u',
      state: 'FAILED',
      error: { code: 3, message: `Refused for ${key}.` },
    };
    const pieces = [Buffer.from(JSON.stringify({ file }))];
    const error = await errorOf(
      { status: 200, headers: { 'content-type': 'application/json' }, pieces },
      keys,
    );
    expect(error).toMatchObject({ message: expect.stringContaining('(Refused for ***.)') });
    expect(leaksIn({ error: everythingOf(error) }, keys)).toEqual([]);
  });
});

describe('KeyLease', () => {
  it('does not show its key when it is inspected or serialized', async () => {
    const lease = await new ScheduledKeyPool({ keys }).acquire({ model: 'm', estimatedTokens: 1 });
    expect(keys).toContain(lease.key.value);
    expect(leaksIn({ lease: everythingOf(lease), key: everythingOf(lease.key) }, keys)).toEqual([]);
  });
});
