import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MultimodalChatError, MultimodalChatOptions } from 'multimodal-chat';
import { MemoryError, MultimodalChat } from 'multimodal-chat';
import { type GeminiEmulator, startGeminiEmulator } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeClip } from '../support/media-fixtures.js';

let fixtures: string;
let clip: string;
let otherClip: string;
let picture: string;
let dataDir: string;
let emulator: GeminiEmulator;
const opened: MultimodalChat[] = [];

beforeAll(async () => {
  fixtures = await mkdtemp(join(tmpdir(), 'earlier-'));
  clip = await makeClip({ path: join(fixtures, 'garden.mp4'), seconds: 4 });
  otherClip = await makeClip({ path: join(fixtures, 'street.mp4'), seconds: 2 });
  picture = join(fixtures, 'receipt.png');
  await sharp({ create: { width: 90, height: 60, channels: 3, background: 'teal' } }).toFile(picture);
});
afterAll(() => rm(fixtures, { recursive: true, force: true }));

beforeEach(async () => {
  emulator = await startGeminiEmulator();
  dataDir = await mkdtemp(join(tmpdir(), 'earlier-data-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await emulator.close();
  await rm(dataDir, { recursive: true, force: true });
});

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    keys: ['a-key-0001'],
    baseUrl: emulator.url,
    dataDir,
    media: { frames: 4 },
    ...options,
  });
  opened.push(chat);
  return chat;
}

const labelsOfLast = () => (emulator.journal.at(-1)?.images ?? []).map(({ label }) => label);
const sessionId = 's';

describe('a prompt that refers to an earlier attachment', () => {
  it('attaches its frames again, in low detail, and reports it', async () => {
    const chat = openChat();
    const { media } = await chat.send({ sessionId, prompt: 'What happens here?', media: [clip] });
    const { reattachedMedia, text } = await chat.send({
      sessionId,
      prompt: 'And what came before that?',
    });
    expect(text).toContain('And what came before that?');
    expect(reattachedMedia).toMatchObject([
      { kind: 'video', name: 'garden.mp4', frameTimestampsMs: [480, 1480, 2480, 3480] },
    ]);
    expect(labelsOfLast()).toEqual(
      ['0:00.5', '0:01.5', '0:02.5', '0:03.5'].map((at) => `[garden.mp4, frame at ${at}]`),
    );
    const sent = emulator.journal.at(-1)?.images.map(({ data }) => data.toString('base64'));
    expect(sent).toEqual(media[0]?.parts.map(({ data }) => Buffer.from(data).toString('base64')));
    const parts = emulator.journal.at(-1)?.contents.flatMap((content) => content.parts ?? []);
    const levels = parts
      ?.filter(({ inlineData }) => inlineData)
      .map(({ mediaResolution }) => mediaResolution?.level);
    expect(new Set(levels)).toEqual(new Set(['MEDIA_RESOLUTION_LOW']));
    expect(emulator.journal.at(-1)?.texts.join('\n')).toMatch(
      /\[Shown again: garden\.mp4, which was attached on \d{4}-/,
    );
  });

  it('attaches frames of a clip that was uploaded whole', async () => {
    const media = { frames: 4, video: 'upload' } as const;
    const first = openChat({ media });
    await first.send({ sessionId, prompt: 'What happens here?', media: [clip] });
    expect(emulator.journal.at(-1)?.images).toEqual([]);
    await first.close();
    const second = openChat({ media });
    const { reattachedMedia } = await second.send({ sessionId, prompt: 'How did the clip end?' });
    expect(reattachedMedia).toMatchObject([
      { kind: 'video', name: 'garden.mp4', frameTimestampsMs: [480, 1480, 2480, 3480] },
    ]);
    expect(labelsOfLast()).toEqual(
      ['0:00.5', '0:01.5', '0:02.5', '0:03.5'].map((at) => `[garden.mp4, frame at ${at}]`),
    );
  });

  it('finds the right attachment after many turns and a restart', async () => {
    const first = openChat();
    await first.send({ sessionId, prompt: 'One', media: [clip] });
    await first.send({ sessionId, prompt: 'Two', media: [picture] });
    await first.send({ sessionId, prompt: 'Three', media: [otherClip] });
    for (let turn = 0; turn < 6; turn += 1) await first.send({ sessionId, prompt: `Small talk ${turn}` });
    await first.close();
    const second = openChat();
    const namesFor = async (prompt: string) =>
      (await second.send({ sessionId, prompt })).reattachedMedia.map(({ name }) => name);
    expect(await namesFor('What was in the first clip?')).toEqual(['garden.mp4']);
    expect(await namesFor('And in the second video?')).toEqual(['street.mp4']);
    expect(await namesFor('How much was on receipt.png?')).toEqual(['receipt.png']);
    expect(await namesFor('How are you?')).toEqual([]);
  });

  it('attaches nothing from other sessions and tenants', async () => {
    const chat = openChat();
    await chat.send({ sessionId, tenant: 'a', prompt: 'One', media: [clip] });
    for (const other of [
      { sessionId, tenant: 'b' },
      { sessionId: 'other', tenant: 'a' },
    ]) {
      const { reattachedMedia } = await chat.send({
        ...other,
        prompt: 'What was in the first clip, garden.mp4?',
      });
      expect(reattachedMedia).toEqual([]);
      expect(labelsOfLast()).toEqual([]);
    }
  });

  it('keeps to its budget', async () => {
    const chat = openChat({ context: { earlierMediaTokens: 2 * 280 } });
    await chat.send({ sessionId, prompt: 'One', media: [clip] });
    await chat.send({ sessionId, prompt: 'And before?' });
    expect(labelsOfLast()).toHaveLength(2);
  });

  it.each([
    ['context.earlierMediaTokens is 0', { context: { earlierMediaTokens: 0 } }],
    ['mediaArchive is false', { mediaArchive: false }],
  ] as const)('attaches nothing if %s', async (_, options) => {
    const chat = openChat(options);
    await chat.send({ sessionId, prompt: 'One', media: [clip] });
    const { reattachedMedia } = await chat.send({ sessionId, prompt: 'What was in the clip?' });
    expect(reattachedMedia).toEqual([]);
  });

  it('leaves nothing on disk with `memory: :memory:`', async () => {
    const chat = openChat({ memory: ':memory:' });
    await chat.send({ sessionId, prompt: 'One', media: [clip] });
    const { reattachedMedia } = await chat.send({ sessionId, prompt: 'And before?' });
    expect(reattachedMedia).toHaveLength(1);
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('has its attachment deleted from disk with the session', async () => {
    const chat = openChat();
    await chat.send({
      sessionId,
      prompt: 'One',
      media: [{ data: await readFile(picture), name: 'unmistakable.png' }],
    });
    expect((await chat.stats()).mediaArchive).toMatchObject({ items: 1 });
    await chat.forget({ sessionId });
    expect((await chat.stats()).mediaArchive).toEqual({ items: 0, bytes: 0 });
    await chat.close();
    const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((each) => each.isFile())) {
      expect((await readFile(join(entry.parentPath, entry.name))).includes('unmistakable')).toBe(false);
    }
  });

  it('is answered without the frames if they cannot be read', async () => {
    const chat = openChat();
    await writeFile(join(dataDir, 'media'), 'in the way');
    const failures: MultimodalChatError[] = [];
    chat.on('failure', ({ error }) => failures.push(error));
    await chat.send({ sessionId, prompt: 'One', media: [picture] });
    const { reattachedMedia, stored } = await chat.send({
      sessionId,
      prompt: 'And before?',
    });
    expect([reattachedMedia, stored]).toEqual([[], true]);
    expect(failures.length).toBeGreaterThan(0);
    for (const error of failures) expect(error).toBeInstanceOf(MemoryError);
  });
});
