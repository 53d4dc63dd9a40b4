import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelPart, ModelRequest, MultimodalChatError, MultimodalChatOptions } from 'multimodal-chat';
import { MemoryError, MultimodalChat } from 'multimodal-chat';
import { FakeMediaProcessor, makeFailure } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generatedFile, type ScriptedModel, scriptedModel } from '../support/scripted-model.js';

const sessionId = 's';
const opened: MultimodalChat[] = [];
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'generated-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await rm(dataDir, { recursive: true, force: true });
});

function openChat(options: MultimodalChatOptions): MultimodalChat {
  const chat = new MultimodalChat({ dataDir, media: new FakeMediaProcessor(), ...options });
  opened.push(chat);
  return chat;
}

const signature = { acme: { signature: 'c2ln' } };

/** Draws a picture in every answer, signed, from seed 1 on. */
function painter(bytes = 100, name = 'acme-1'): ScriptedModel {
  return scriptedModel(
    (_, call) => {
      const file = generatedFile(call, bytes, `image-${call}.png`);
      const { data, ...rest } = file;
      const part = { type: 'file', ...rest, bytes: data.byteLength, providerMetadata: signature } as const;
      const text = { type: 'text', text: 'Here.' } as const;
      return { says: [text, { type: 'file', file }], finish: { parts: [text, part] } };
    },
    { name },
  );
}

const ask = (chat: MultimodalChat, prompt: string, rest: object = {}) =>
  chat.send({ sessionId, prompt, ...rest });
const dataOf = (parts: readonly ModelPart[]) => parts.filter((part) => part.type === 'data');
const answersIn = (request: ModelRequest | undefined) =>
  (request?.messages ?? []).filter(({ role }) => role === 'assistant').flatMap(({ parts }) => parts);
const askedIn = (request: ModelRequest | undefined) => request?.messages.at(-1)?.parts ?? [];
const textOf = (parts: readonly ModelPart[]) =>
  parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
const seedsOf = (parts: readonly ModelPart[]) => dataOf(parts).map(({ data }) => data[0]);

describe('a file that the model generated', () => {
  it('goes back with its signature in the next turns, also after a restart', async () => {
    const model = painter();
    const first = openChat({ model });
    await ask(first, 'Draw a cat.');
    await first.close();
    const second = openChat({ model });
    await ask(second, 'Make it red.');
    await ask(second, 'And blue.');
    const sent = dataOf(answersIn(model.requests[2]));
    expect(sent).toEqual(
      [1, 2].map((seed) => ({
        ...{ type: 'data', mimeType: 'image/png', name: `image-${seed}.png` },
        providerMetadata: signature,
        data: expect.anything(),
      })),
    );
    expect(sent.map(({ data }) => Buffer.from(data).toString('hex'))).toEqual(
      [1, 2].map((seed) => Buffer.from(generatedFile(seed).data).toString('hex')),
    );
    // Not a second time beside the prompt.
    expect(dataOf(askedIn(model.requests[2]))).toEqual([]);
  });

  it('is stored without its bytes', async () => {
    const chat = openChat({ model: painter(50_000) });
    const { stored } = await ask(chat, 'Draw a cat.');
    expect(stored).toBe(true);
    const [turn] = await chat.history({ sessionId });
    expect(JSON.stringify(turn).length).toBeLessThan(2_000);
    expect((await chat.stats()).mediaArchive?.bytes).toBeGreaterThan(50_000);
  });

  it.each([
    ['context.mediaBytes', 2 * 2 ** 20, { mediaBytes: 1_000_000 }, []],
    ['context.mediaBytes', 2 * 2 ** 20, { mediaBytes: 5_000_000 }, [6, 7]],
    ['context.earlierMediaTokens', 100, { earlierMediaTokens: 2_500 }, [6, 7]],
    ['context.earlierMediaTokens', 100, { earlierMediaTokens: 0 }, []],
  ])('goes back within %s (%i bytes each, %j), the latest first', async (_, bytes, context, seeds) => {
    const model = painter(bytes);
    const chat = openChat({ model, context });
    for (let turn = 1; turn <= 8; turn += 1) await ask(chat, 'Draw.');
    const parts = answersIn(model.requests[7]);
    expect(seedsOf(parts)).toEqual(seeds);
    expect(parts.filter((part) => part.type === 'text' && /^\[file: /.test(part.text))).toHaveLength(
      7 - seeds.length,
    );
  });

  it('counts with its signature, which may be larger than itself', async () => {
    const large = { acme: { signature: 'y'.repeat(900_000) } };
    const { data, ...file } = generatedFile(1);
    const part = { type: 'file', ...file, bytes: data.byteLength, providerMetadata: large } as const;
    const said = { type: 'file', file: { ...file, data } } as const;
    const model = scriptedModel(() => ({ says: [said], finish: { parts: [part] } }));
    const chat = openChat({ model, context: { mediaBytes: 500_000 } });
    await ask(chat, 'Draw.');
    await ask(chat, 'Draw.');
    expect(JSON.stringify(model.requests[1]?.messages).length).toBeLessThan(1_000);
  });

  it('is shown beside the prompt to another model, which is told what it is', async () => {
    const model = painter();
    const other = scriptedModel(() => ({ says: ['A cat.'] }), { name: 'acme-2' });
    const chat = openChat({ model, fallbackModels: [other] });
    await ask(chat, 'Draw a cat.');
    const { reattachedMedia } = await ask(chat, 'What is in the picture?', { model: 'acme-2' });
    expect(reattachedMedia).toMatchObject([{ name: 'image-1.png' }]);
    expect(textOf(answersIn(other.requests[0]))).toContain('[file: image-1.png]');
    expect(seedsOf(askedIn(other.requests[0]))).toEqual([1]);
    expect(textOf(askedIn(other.requests[0]))).toContain('image-1.png, which you generated on');
  });

  it('is shown to a fallback model, without its signature', async () => {
    const drawing = painter();
    const gone = scriptedModel(() => ({ failure: makeFailure('model-unavailable') }));
    const model = { ...drawing };
    model.stream = (request, options) =>
      (drawing.requests.length === 0 ? drawing : gone).stream(request, options);
    const other = scriptedModel(() => ({ says: ['A cat.'] }), { name: 'acme-2' });
    const chat = openChat({ model, fallbackModels: [other] });
    await ask(chat, 'Draw a cat.');
    await ask(chat, 'Make it red.');
    expect(seedsOf(askedIn(other.requests[0]))).toEqual([1]);
    expect(JSON.stringify(other.requests[0]?.messages)).not.toContain('signature');
  });

  it('is shown beside the prompt once its signature was refused', async () => {
    const drawing = painter();
    const refused = makeFailure('invalid-request', { status: 400 });
    const model = { ...drawing };
    model.stream = async function* (request, options) {
      const events = drawing.stream(request, options);
      if (JSON.stringify(request.messages).includes('signature')) {
        yield* scriptedModel(() => ({ failure: refused })).stream(request, options);
      }
      yield* events;
    };
    const chat = openChat({ model });
    await ask(chat, 'Draw a cat.');
    await ask(chat, 'Make it red.');
    const healed = drawing.requests.at(-1);
    expect(dataOf(answersIn(healed))).toEqual([]);
    expect(seedsOf(askedIn(healed))).toEqual([1]);
  });

  it('does not change which attachment a prompt refers to', async () => {
    const model = painter();
    const chat = openChat({ model });
    const attach = (seed: number) => ({
      media: [{ data: new Uint8Array([seed]), name: `photo-${seed}.png`, mimeType: 'image/png' }],
    });
    await ask(chat, 'This is a photo.', attach(200));
    await ask(chat, 'This is another.', attach(201));
    await ask(chat, 'Draw.');
    const meant = async (prompt: string) =>
      (await ask(chat, prompt, { model: 'acme-3' })).reattachedMedia.map(({ name }) => name);
    expect(await meant('Describe the second picture.')).toEqual(['photo-201.png']);
    expect(await meant('Describe the third picture.')).toEqual(['image-3.png']);
    expect(await meant('What is in image-2.png?')).toEqual(['image-2.png']);
  });

  it('costs no turn if it cannot be kept', async () => {
    const broken = new MemoryError('The disk is full.');
    const archive = {
      keep: () => Promise.reject(broken),
      list: () => Promise.reject(broken),
      load: () => Promise.reject(broken),
      forget: async () => undefined,
      stats: async () => ({ items: 0, bytes: 0 }),
      close: async () => undefined,
    };
    const model = painter();
    const chat = openChat({ model, mediaArchive: archive });
    const failures: MultimodalChatError[] = [];
    chat.on('failure', ({ error }) => failures.push(error));
    expect((await ask(chat, 'Draw.')).stored).toBe(true);
    await ask(chat, 'Draw.');
    expect(textOf(answersIn(model.requests[1]))).toBe('Here.\n[file: image-1.png]');
    expect(failures).toContain(broken);
  });
});
