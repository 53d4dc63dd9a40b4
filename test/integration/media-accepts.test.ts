import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultimodalChat } from 'multimodal-chat';
import { FakeChatModel } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MediaCapabilities, PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { capabilitiesOf } from '../../src/model/gemini/request/gemini-capabilities.js';
import { ffmpeg, makeClip } from '../support/media-fixtures.js';

const eyes: MediaCapabilities = { inline: ['image/jpeg'] };
const ears = (...types: readonly string[]): MediaCapabilities => ({ inline: ['image/jpeg', ...types] });

let directory: string;
let clip: string;
let recording: string;
let picture: Buffer;
const pdf = Buffer.from(`%PDF-1.4\n${'1 0 obj<</Type/Page>>endobj\n'.repeat(3)}%%EOF\n`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'accepts-'));
  clip = await makeClip({ path: join(directory, 'clip.mp4'), seconds: 2, audio: true });
  recording = join(directory, 'tone.ogg');
  ffmpeg('-f', 'lavfi', '-i', 'sine=d=3', '-c:a', 'libvorbis', recording);
  picture = await sharp({ create: { width: 640, height: 480, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
});
afterAll(() => rm(directory, { recursive: true }));

const typesOf = ({ parts }: PreparedMedia) => [...new Set(parts.map((part) => part.mimeType))];

describe('what a model takes', () => {
  it.each([
    ['audio/mp3', ['image/jpeg', 'audio/mp3']],
    ['audio/mpeg', ['image/jpeg', 'audio/mpeg']],
    ['audio/aac', ['image/jpeg', 'audio/aac']],
    ['audio/flac', ['image/jpeg', 'audio/flac']],
    ['audio/wav', ['image/jpeg', 'audio/wav']],
  ])("decides what a clip's sound is sent as: %s", async (type, types) => {
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const media = await processor.prepare(clip, { accepts: ears(type) });
    expect(typesOf(media)).toEqual(types);
    expect(media.note).toBeUndefined();
    const sound = media.parts.at(-1)?.data ?? new Uint8Array();
    await writeFile(join(directory, 'sound'), sound);
    ffmpeg('-i', join(directory, 'sound'), '-f', 'null', '-');
  });

  it('gives the true length in the header of WAV', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const { parts } = await processor.prepare(clip, { accepts: ears('audio/wav') });
    const wav = Buffer.from(parts.at(-1)?.data ?? []);
    expect(wav.readUInt32LE(4)).toBe(wav.length - 8);
    const chunk = wav.indexOf('data');
    expect(wav.readUInt32LE(chunk + 4)).toBe(wav.length - chunk - 8);
  });

  it('leaves out sound that the model does not take, and says so', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const media = await processor.prepare(clip, { accepts: eyes });
    expect(typesOf(media)).toEqual(['image/jpeg']);
    expect(media.note).toBe('Its sound is left out: the model takes none.');
    const heard = await processor.prepare(recording, { accepts: eyes });
    expect(heard).toMatchObject({
      ...{ kind: 'audio', parts: [], estimatedTokens: 0 },
      note: 'It is left out: the model takes no sound of this kind.',
    });
  });

  it('says nothing of sound that was not asked for', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2, audio: false });
    expect((await processor.prepare(clip, { accepts: eyes })).note).toBeUndefined();
  });

  it.each([
    ['audio/ogg', 'audio/ogg'],
    ['audio/mpeg', 'audio/mpeg'],
    ['audio/wav', 'audio/wav'],
  ])('decides what a recording is sent as: %s', async (type, sent) => {
    await using processor = new DefaultMediaProcessor();
    expect(typesOf(await processor.prepare(recording, { accepts: ears(type) }))).toEqual([sent]);
  });

  it('refuses a PDF for a model that reads none, and one with more pages than it reads', async () => {
    await using processor = new DefaultMediaProcessor();
    const source = { data: pdf, name: 'report.pdf' };
    await expect(processor.prepare(source)).resolves.toMatchObject({ estimatedTokens: 3 * 560 });
    await expect(processor.prepare(source, { accepts: eyes })).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: expect.stringMatching(/"report\.pdf" is a PDF, and this model reads none\. Send/),
    });
    const reads = { inline: ['application/pdf'], maxPdfPages: 2 };
    await expect(processor.prepare(source, { accepts: reads })).rejects.toMatchObject({
      code: 'MEDIA_TOO_LARGE',
      message: expect.stringContaining('has 3 pages, and the model reads 2'),
    });
  });

  it('keeps text documents as text', async () => {
    await using processor = new DefaultMediaProcessor();
    const media = await processor.prepare({ data: Buffer.from('Hello'), name: 'a.txt' }, { accepts: eyes });
    expect(typesOf(media)).toEqual(['text/plain']);
  });

  it('refuses pictures and clips for a model that sees none', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const blind = { inline: ['audio/mp3'] };
    for (const source of [picture, clip])
      await expect(processor.prepare(source, { accepts: blind })).rejects.toMatchObject({
        code: 'MEDIA_UNSUPPORTED',
        message: expect.stringContaining('this model sees no'),
      });
  });

  it('decides whether parts say how closely they are looked at, and what they cost', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2, audio: false });
    const [told, silent] = [
      await processor.prepare(clip, { accepts: { ...eyes, detail: true } }),
      await processor.prepare(clip, { accepts: eyes }),
    ];
    expect(told.parts.map(({ detail }) => detail)).toEqual(['medium', 'medium']);
    expect(told.estimatedTokens).toBe(2 * 560);
    expect(silent.parts.every((part) => !('detail' in part))).toBe(true);
    expect(silent.estimatedTokens).toBe(2 * 1120);
    const shown = await processor.prepare(picture, { accepts: eyes });
    expect(shown.parts.every((part) => !('detail' in part))).toBe(true);
  });

  it('decides which clips are uploaded whole, and under which name', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2, video: 'upload' });
    const uploads = { ...eyes, upload: { 'video/mp4': 'video/x-own-name' } };
    const whole = await processor.prepare(clip, { accepts: uploads });
    expect(whole.parts).toMatchObject([{ mimeType: 'video/x-own-name', path: clip }]);
    const frames = await whole.asFrames?.();
    expect(frames?.parts.map(({ mimeType }) => mimeType)).toEqual(['image/jpeg', 'image/jpeg']);
    await whole.release?.();
    expect(typesOf(await processor.prepare(clip, { accepts: eyes }))).toEqual(['image/jpeg']);
    const anyModel = await processor.prepare(clip);
    expect(anyModel.parts).toMatchObject([{ mimeType: 'video/mp4', path: clip }]);
    await anyModel.release?.();
  });

  it('covers all that is made for Gemini', async () => {
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const { media: accepts } = capabilitiesOf('gemini-3.8-flash');
    const prepare = (data: string | Buffer) => processor.prepare(data, { accepts });
    expect(typesOf(await prepare(clip))).toEqual(['image/jpeg', 'audio/mp3']);
    expect(typesOf(await prepare(recording))).toEqual(['audio/ogg']);
    expect(typesOf(await prepare(picture))).toEqual(['image/jpeg']);
    expect(typesOf(await prepare(pdf))).toEqual(['application/pdf']);
  });
});

describe('a chat', () => {
  it('tells a model in words of a recording that it does not take', async () => {
    const model = new FakeChatModel(['Yes'], { media: eyes });
    await using chat = new MultimodalChat({ model, memory: false });
    await chat.send({ prompt: 'What is said?', media: [recording] });
    const texts = (model.calls[0]?.request.messages ?? []).flatMap(({ parts }) =>
      parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])),
    );
    expect(texts).toContain(
      '[tone.ogg: audio, 0:03.0 long (It is left out: the model takes no sound of this kind.)]',
    );
  });
});

describe('a text document', () => {
  it('of 3,000 Chinese characters costs about 3,000 tokens', async () => {
    await using processor = new DefaultMediaProcessor();
    const data = Buffer.from('明'.repeat(3000));
    expect((await processor.prepare({ data, name: 'a.txt' })).estimatedTokens).toBe(3000);
  });
});
