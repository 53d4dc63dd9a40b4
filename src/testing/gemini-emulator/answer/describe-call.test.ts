import { describe, expect, it } from 'vitest';
import { RecordedCall } from '../journal/recorded-call.js';
import type { WirePart } from '../wire/messages.js';
import { describeCall } from './describe-call.js';

const picture: WirePart = {
  inlineData: { mimeType: 'image/png', data: Buffer.from('no picture').toString('base64') },
};

const describeParts = (...parts: readonly WirePart[]) =>
  describeCall(
    new RecordedCall({
      ...{ method: 'POST', path: '/', operation: 'generate', model: 'm', key: 'k', keyInUrl: false },
      ...{ stream: false, startedAt: 0, body: { contents: [{ role: 'user', parts: [...parts] }] } },
    }),
  );

describe('the answer about a request with a picture', () => {
  it.each([
    [
      'after its label',
      [{ text: '[a.png]' }, picture, { text: 'What is this?' }],
      '1 picture: [a.png] (unreadable',
    ],
    [
      'before it, as other clients send it',
      [{ text: 'What is this?' }, picture],
      '1 picture: unreadable png',
    ],
  ])('finds the prompt %s', (_, parts, shown) => {
    const text = describeParts(...parts);
    expect(text).toContain('You asked: “What is this?”');
    expect(text).toContain(shown);
  });

  it('takes no label for a prompt', () => {
    expect(describeParts({ text: '[a.png]' }, picture)).toContain('no prompt text');
  });
});
