import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter } from '../../../../test/support/emulated-gemini.js';
import {
  ask,
  candidatesOf,
  errorOf,
  partsOf,
  promptOf,
  textOf,
} from '../../../../test/support/gemini-wire.js';
import type { GeminiEmulator } from '../gemini-emulator.js';
import { picturePart } from './answer-parts.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

/** Asks once, and goes on with each token under the next key. */
async function askToTheEnd(emulators: readonly GeminiEmulator[]) {
  const received = [];
  let continuationToken: string | undefined;
  do {
    const emulator = emulators[received.length % emulators.length] as GeminiEmulator;
    const request = { ...promptOf('Go on'), ...(continuationToken !== undefined && { continuationToken }) };
    const next = await ask(emulator, request, { key: `key-${received.length}` });
    received.push(next);
    continuationToken = candidatesOf(next).at(-1)?.continuationToken;
  } while (continuationToken !== undefined && received.length < 200);
  return received;
}

const finishOf = (received: Awaited<ReturnType<typeof ask>>) => candidatesOf(received).at(-1)?.finishReason;

describe('continueAfterCharacters', () => {
  it('ends a longer answer with CONTINUATION and goes on with its token, in any emulator', async () => {
    const options = { continueAfterCharacters: 10, chunks: 2 };
    const [first, second] = [await start(options), await start(options)];
    const text = 'Ein langer Satz, 🍂🍂 der weitergeht.';
    first.emulator.say(text);
    const received = await askToTheEnd([first.emulator, second.emulator]);
    expect(received.map(textOf).join('')).toBe(text);
    for (const piece of received.map(textOf)) expect(Buffer.from(piece).toString()).toBe(piece);
    expect(received.map(finishOf)).toEqual([...Array(received.length - 1).fill('CONTINUATION'), 'STOP']);
    expect(received.length).toBe(4);
  });

  it('ends, whatever the text and however short its pieces', async () => {
    const { emulator } = await start();
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        async (text, size) => {
          emulator.say({ parts: [text], continueAfterCharacters: size });
          const received = await askToTheEnd([emulator]);
          expect(received.map(textOf).join('')).toBe(text);
          expect(received.map(finishOf).at(-1)).toBe('STOP');
        },
      ),
      { numRuns: 20 },
    );
  });

  it('keeps parts that are not text in their place, and takes no scripted answer to go on', async () => {
    const { emulator } = await start({ continueAfterCharacters: 8 });
    const picture = picturePart('a cat');
    emulator.say({ parts: ['Before it', picture, ' after'], candidate: { finishReason: 'OTHER' } });
    emulator.say('The next answer');
    const received = await askToTheEnd([emulator]);
    const kinds = received.map((each) => partsOf(each).map(({ text }) => text ?? 'picture'));
    expect(kinds.flat().join('|').replaceAll('| ', ' ')).toBe('Before i|t|picture after');
    expect(received.map(finishOf)).toEqual(['CONTINUATION', 'OTHER']);
    expect(textOf(await ask(emulator, promptOf('x')))).toBe('The next');
  });

  it('leaves a shorter answer alone, and refuses a token that is none', async () => {
    const { emulator } = await start({ continueAfterCharacters: 8 });
    emulator.say('12345678');
    const whole = await ask(emulator);
    expect([textOf(whole), finishOf(whole)]).toEqual(['12345678', 'STOP']);
    for (const continuationToken of ['', 'bm9uZQ==', 'bnVsbA=='])
      expect(errorOf(await ask(emulator, { ...promptOf('x'), continuationToken }))).toBe(
        '400 Invalid continuation token.',
      );
  });
});
