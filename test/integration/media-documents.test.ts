import { randomBytes } from 'node:crypto';
import { MultimodalChat } from 'multimodal-chat';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';

const mebibyte = 2 ** 20;

function pdfOf(bytes: number): Buffer {
  const [head, tail] = ['%PDF-1.4\n1 0 obj<</Type/Page>>endobj\n', '\n%%EOF\n'].map((part) =>
    Buffer.from(part),
  );
  const filling = randomBytes(bytes - (head?.length ?? 0) - (tail?.length ?? 0));
  return Buffer.concat([head ?? filling, filling, tail ?? filling]);
}

describe('large documents', () => {
  it('are shown up to 35 MiB, whole', async () => {
    await using emulator = await startGeminiEmulator({
      projects: [{ id: 'alpha', keys: ['alpha-key-0001'] }],
    });
    await using chat = new MultimodalChat({ keys: ['alpha-key-0001'], baseUrl: emulator.url, memory: false });
    const pdf = pdfOf(35 * mebibyte);
    const { text } = await chat.send({ prompt: 'Summarize it', media: [{ data: pdf, name: 'report.pdf' }] });
    expect(text).toContain('Summarize it');
    const sent = (emulator.journal[0]?.contents ?? [])
      .flatMap(({ parts }) => parts ?? [])
      .find(({ inlineData }) => inlineData?.mimeType === 'application/pdf')?.inlineData?.data;
    expect(sent?.length).toBeLessThan(50e6);
    expect(Buffer.from(sent ?? '', 'base64').equals(pdf)).toBe(true);
  });

  it('are refused above that, and above maxInlineBytes', async () => {
    await using usual = new DefaultMediaProcessor();
    const large = { data: pdfOf(35 * mebibyte + 1), name: 'report.pdf' };
    await expect(usual.prepare(large)).rejects.toMatchObject({
      reason: 'too-large',
      message: expect.stringMatching(/"report\.pdf" has more than 35 MiB/),
    });
    await using strict = new DefaultMediaProcessor({ maxInlineBytes: mebibyte });
    await expect(strict.prepare({ ...large, data: pdfOf(mebibyte + 1) })).rejects.toMatchObject({
      reason: 'too-large',
    });
  });
});

describe('documents of one request', () => {
  const open = (url: string) =>
    new MultimodalChat({
      ...{ keys: ['alpha-key-0001'], baseUrl: url, memory: ':memory:' },
      context: { mediaBytes: 2.5 * mebibyte },
    });
  const named = (name: string) => ({ data: pdfOf(mebibyte), name });

  it('are refused when they are too much together, before anything is sent', async () => {
    await using emulator = await startGeminiEmulator();
    await using chat = open(emulator.url);
    const three = [named('a.pdf'), named('b.pdf'), named('c.pdf')];
    await expect(chat.send({ prompt: 'Compare them', media: three })).rejects.toMatchObject({
      code: 'MEDIA_TOO_LARGE',
      reason: 'too-large',
      message: expect.stringMatching(/3\.0 MiB together .* 2\.5 MiB go into one request/),
    });
    expect(emulator.journal).toEqual([]);
    const { text } = await chat.send({ prompt: 'Compare them', media: three.slice(1) });
    expect(text).toContain('Compare them');
  });

  it('leave out earlier ones that do not fit beside them, the oldest first', async () => {
    await using emulator = await startGeminiEmulator();
    await using chat = open(emulator.url);
    const sessionId = 's';
    for (const name of ['a.pdf', 'b.pdf'])
      await chat.send({ sessionId, prompt: 'Read it', media: [named(name)] });
    const { reattachedMedia: shownAgain } = await chat.send({
      ...{ sessionId, prompt: 'What of a.pdf and b.pdf is in this one?', media: [named('c.pdf')] },
    });
    expect(shownAgain.map(({ name }) => name)).toEqual(['b.pdf']);
  });
});
