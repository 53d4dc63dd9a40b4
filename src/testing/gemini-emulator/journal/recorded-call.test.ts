import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model } from '../../../../test/support/emulated-gemini.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

const textOf = async (stream: AsyncIterable<{ text: string | undefined }>) => {
  let text = '';
  for await (const chunk of stream) text += chunk.text ?? '';
  return text;
};

const picture = async (width: number, height: number) => ({
  inlineData: {
    mimeType: 'image/jpeg',
    data: (
      await sharp({ create: { width, height, channels: 3, background: 'teal' } })
        .jpeg()
        .toBuffer()
    ).toString('base64'),
  },
});

describe('the description of a call', () => {
  it('names the emulator, and shows prompt, turns, system instruction, pictures, sounds and files', async () => {
    const { ai } = await start();
    const { text } = await ai.models.generateContent({
      model,
      config: { systemInstruction: 'Be brief.' },
      contents: [
        { role: 'user', parts: [{ text: 'Who was Archimedes?' }] },
        { role: 'model', parts: [{ text: 'A tortoise.' }] },
        {
          role: 'user',
          parts: [
            { text: 'Quoted from the record: tortoises' },
            { text: 'clip.mp4, frame at 0:03.5' },
            await picture(320, 180),
            { text: 'clip.mp4, frame at 0:10.5' },
            await picture(64, 48),
            { inlineData: { mimeType: 'audio/mpeg', data: Buffer.alloc(3000).toString('base64') } },
            { text: 'What happens\nhere?' },
          ],
        },
      ],
    });
    const [first, ...rest] = (text ?? '').split('\n');
    expect(first).toMatch(/emulator.*not Gemini/);
    const description = rest.join('\n');
    expect(description).toContain('You asked: “What happens here?”');
    expect(description).toContain('1 earlier turn. Asked before, oldest first: “Who was Archimedes?”');
    expect(description).toContain('Before it stood: “Quoted from the record: tortoises”');
    expect(description).toContain('2 pictures');
    expect(description).toMatch(/clip\.mp4, frame at 0:03\.5 \(320×180 jpeg/);
    expect(description).toMatch(/clip\.mp4, frame at 0:10\.5 \(64×48 jpeg/);
    expect(description).toContain('audio/mpeg, 3 kB');
    expect(description).toContain('The system instruction reads: “Be brief.”');
  });
});

describe('the prompt of a call', () => {
  it.each([
    [
      'before its picture, as most clients send it',
      ['What is this?', 'picture'],
      'You asked: “What is this?”',
    ],
    ['before two pictures', ['Compare', 'picture', 'picture'], 'You asked: “Compare”'],
    ['after labeled pictures', ['[a.jpg]', 'picture', 'What?'], 'You asked: “What?”'],
    ['missing beside a label', ['[a.jpg]', 'picture'], 'The request had no prompt text.'],
  ])('is found %s', async (_, order, expected) => {
    const { ai } = await start();
    const part = (text: string) => (text === 'picture' ? picture(64, 48) : { text });
    const parts = await Promise.all(order.map(part));
    const { text } = await ai.models.generateContent({ model, contents: [{ role: 'user', parts }] });
    expect(text).toContain(expected);
    expect(text).toContain('64×48 jpeg');
    expect(text).not.toContain('“What is this?” (');
  });
});

describe('the journal', () => {
  it('keeps what arrived, down to the size and the label of each picture', async () => {
    const { emulator, ai } = await start();
    const data = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } })
      .webp()
      .toBuffer();
    await textOf(
      await ai.models.generateContentStream({
        model,
        contents: [
          { text: 'a.webp' },
          { inlineData: { mimeType: 'image/webp', data: data.toString('base64') } },
          { text: 'What is it?' },
        ],
      }),
    );
    await emulator.whenIdle();
    const [call] = emulator.journal;
    expect(call).toMatchObject({
      method: 'POST',
      path: `/v1beta/models/${model}:streamGenerateContent`,
      operation: 'generate',
      model,
      key: 'a-key',
      keyInUrl: false,
      stream: true,
      status: 200,
      aborted: false,
      texts: ['a.webp', 'What is it?'],
    });
    expect(call?.images).toEqual([
      { mimeType: 'image/webp', width: 30, height: 20, bytes: data.length, data, label: 'a.webp' },
    ]);
    expect(call?.endedAt).toBeGreaterThanOrEqual(call?.startedAt ?? Number.POSITIVE_INFINITY);
  });

  it('records a key in the URL', async () => {
    const { emulator } = await start();
    await fetch(`${emulator.url}/v1/models?key=visible`);
    expect(emulator.journal).toMatchObject([{ key: 'visible', keyInUrl: true, status: 200 }]);
  });

  it('records that the client hung up', async () => {
    const { emulator, ai } = await start({ firstChunkDelayMs: 60_000 });
    const controller = new AbortController();
    const call = ai.models.generateContent({
      model,
      contents: 'x',
      config: { abortSignal: controller.signal },
    });
    call.catch(() => undefined);
    await emulator.whenReceived(1);
    controller.abort();
    await emulator.whenIdle();
    expect(emulator.journal).toMatchObject([{ aborted: true, status: 0 }]);
    await expect(call).rejects.toThrow();
  });

  it('stays empty if it is off', async () => {
    const { emulator, ai } = await start({ journal: false, answer: (call) => `You said ${call.texts[0]}` });
    expect((await ai.models.generateContent({ model, contents: 'hello' })).text).toBe('You said hello');
    expect(emulator.journal).toEqual([]);
  });
});
