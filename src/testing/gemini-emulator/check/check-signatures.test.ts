import { afterEach, describe, expect, it } from 'vitest';
import { createStarter } from '../../../../test/support/emulated-gemini.js';
import { type AskOptions, ask, errorOf, partsOf, promptOf } from '../../../../test/support/gemini-wire.js';
import { callPart, picturePart } from '../answer/answer-parts.js';
import type { GeminiEmulator } from '../gemini-emulator.js';
import type { GeminiEmulatorOptions } from '../options.js';
import type { WireContent, WirePart } from '../wire/messages.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

const projects = [
  { id: 'alpha', keys: ['key-a1', 'key-a2'] },
  { id: 'beta', keys: ['key-b'] },
];
const user = (...parts: readonly WirePart[]): WireContent => ({ role: 'user', parts });
const response = { functionResponse: { name: 'find', response: {} } };

/** A first answer with the key `key-a1`, and what comes of sending its parts back. */
async function converse(options: GeminiEmulatorOptions = {}) {
  const { emulator } = await start({ projects, ...options });
  return {
    emulator,
    ask: async (request: AskOptions = {}) =>
      partsOf(await ask(emulator, promptOf('Hi'), { key: 'key-a1', ...request })),
    sendBack: (parts: readonly WirePart[], request: AskOptions = {}, next = user({ text: 'And?' })) =>
      outcomeOf(emulator, [user({ text: 'Hi' }), { role: 'model', parts }, next], {
        key: 'key-a1',
        ...request,
      }),
  };
}

async function outcomeOf(emulator: GeminiEmulator, contents: readonly WireContent[], request: AskOptions) {
  const received = await ask(emulator, { contents }, request);
  return received.status === 200 ? '200' : errorOf(received);
}

describe('a thought signature', () => {
  it('is taken back by the model that it was issued to, in any project and emulator', async () => {
    const { ask, sendBack } = await converse();
    const parts = await ask();
    expect(parts.at(-1)?.thoughtSignature).toBeTruthy();
    expect(await sendBack(parts)).toBe('200');
    expect(await sendBack(parts, { key: 'key-b' })).toBe('200');
    expect(await (await converse()).sendBack(parts)).toBe('200');
  });

  it('is refused by another model', async () => {
    const { ask, sendBack } = await converse();
    const parts = await ask();
    expect(await sendBack(parts, { model: 'gemini-3.5-flash-lite' })).toBe('400 Invalid thought signature');
  });

  it('is refused under the key of another project if it is bound to one', async () => {
    const { ask, sendBack } = await converse({ signatures: 'project' });
    const parts = await ask();
    expect(await sendBack(parts, { key: 'key-a2' })).toBe('200');
    expect(await sendBack(parts, { key: 'key-b' })).toBe('400 Invalid thought signature');
  });

  it('is refused if Gemini has not issued it, unless it is the documented stand-in', async () => {
    const signed = (thoughtSignature: string) => [{ text: 'Hi', thoughtSignature }];
    const { sendBack } = await converse();
    expect(await sendBack(signed('bWFkZSB1cA=='))).toBe('400 Corrupted thought signature.');
    expect(await sendBack(signed('skip_thought_signature_validator'))).toBe('200');
    const encoded = Buffer.from('context_engineering_is_the_way_to_go').toString('base64');
    expect(await sendBack(signed(encoded))).toBe('200');
    const { sendBack: sendUnchecked } = await converse({ signatures: 'any' });
    expect(await sendUnchecked(signed('bWFkZSB1cA=='))).toBe('200');
  });

  it('is needed for the first call of the current turn only', async () => {
    const { emulator, ask, sendBack } = await converse();
    emulator.say({ parts: [callPart('find'), callPart('find')] });
    const calls = await ask();
    const responses = user(response, response);
    expect(await sendBack(calls, {}, responses)).toBe('200');
    const unsigned = calls.map(({ functionCall }) => ({ functionCall }) as WirePart);
    expect(await sendBack(unsigned, {}, responses)).toMatch(
      /^400 Function call is missing a thought_signature .* function call `default_api:find` , position 2\./,
    );
    expect(await sendBack(unsigned, { model: 'gemini-2.5-flash' }, responses)).toBe('200');
    const earlier: WireContent[] = [
      user({ text: 'Hi' }),
      { role: 'model', parts: unsigned },
      responses,
      { role: 'model', parts: [{ text: 'Found.' }] },
      user({ text: 'Thanks' }),
    ];
    expect(await outcomeOf(emulator, earlier, { key: 'key-a1' })).toBe('200');
  });

  it('is needed for a picture that an image model made', async () => {
    const { emulator, ask, sendBack } = await converse();
    const options = { model: 'gemini-3-pro-image' };
    emulator.say({ parts: [{ text: 'Here.' }, picturePart('a cat')] });
    const parts = await ask(options);
    expect(await sendBack(parts, options)).toBe('200');
    const unsigned = parts.map(({ thoughtSignature: _, ...part }) => part);
    expect(await sendBack(unsigned, options)).toBe(
      '400 Image part is missing a thought_signature in content position 2, part position 2. Please refer to ' +
        'https://ai.google.dev/gemini-api/docs/thought-signatures#model-behavior for more details.',
    );
  });
});
