import { describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import type { JsonValue } from '../../core/message.js';
import { type Turn, toTurn } from '../../core/turn.js';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import { parseTurn, serializeTurn, textOfBody } from './turn-body.js';

const photo = { kind: 'image', name: 'harbor.jpg', fingerprint: 'ab', mimeType: 'image/jpeg' } as const;

const cyclic: unknown[] = [];
cyclic.push(cyclic);

describe('serializeTurn', () => {
  it('leaves out messages that say no more than the plain text', () => {
    const turn = makeTurn({ media: [photo] });
    const { body } = serializeTurn(turn);
    expect(JSON.parse(body)).not.toHaveProperty('messages');
    expect(parseTurn(body)).toStrictEqual(turn);
  });

  it('keeps a turn without messages, as version 0.1 made them', () => {
    const replyParts = [{ text: 'Paris.', thoughtSignature: 'c2ln' }];
    const { messages: _, ...old } = makeTurn({ model: 'gemini-x' });
    const turn = parseTurn(serializeTurn({ ...old, replyParts } as object as Turn).body);
    expect(turn.messages[1]?.providerMetadata).toEqual({ google: { parts: replyParts } });
  });

  it.each([
    ['a cycle', cyclic],
    ['a bigint', 1n],
  ])('throws a MemoryError for messages with %s', (_, output) => {
    const messages = [{ role: 'tool', parts: [{ type: 'tool-result', callId: '1', name: 'x', output }] }];
    expect(() => serializeTurn({ ...makeTurn(), messages } as Turn)).toThrow(MemoryError);
  });
});

describe('textOfBody', () => {
  it('is prompt, reply and the names of attachments, whether or not there are messages', () => {
    const plain = makeTurn({ media: [photo] });
    const withTools = { ...plain, messages: [...plain.messages, { role: 'tool', parts: [] } as const] };
    for (const turn of [plain, withTools]) {
      expect(textOfBody(serializeTurn(turn).body)).toBe(`${plain.prompt}\nParis.\nharbor.jpg`);
    }
    expect(textOfBody(serializeTurn(makeTurn({ reply: '' })).body)).toBe(plain.prompt);
  });

  it('is also what tools gave, the beginning of it', () => {
    const result = (name: string, output: JsonValue, more = {}) =>
      ({ type: 'tool-result', callId: name, name, output, ...more }) as const;
    const call = { type: 'tool-call', callId: 'a', name: 'a', input: { secret: 'not indexed' } } as const;
    const plain = makeTurn();
    const turn = toTurn({
      ...plain,
      messages: [
        { role: 'user', parts: [{ type: 'text', text: plain.prompt }] },
        { role: 'assistant', parts: [call] },
        {
          role: 'tool',
          parts: [
            result('weather', { city: 'Oslo' }, { media: [photo] }),
            result('read', `start${'x'.repeat(9000)}end`),
          ],
        },
        { role: 'assistant', parts: [{ type: 'text', text: 'Paris.' }] },
      ],
    });
    const [prompt, weather, read, ...rest] = textOfBody(serializeTurn(turn).body).split('\n');
    expect([prompt, weather, ...rest]).toEqual([
      plain.prompt,
      'weather: {"city":"Oslo"}, harbor.jpg',
      'Paris.',
    ]);
    expect(read).toMatch(/^read: startx{3995}$/);
  });
});
