import { describe, expect, it } from 'vitest';
import { acceptedAnswerTypes } from './negotiate.js';

const text = 'text/plain';
const json = 'application/json';
const events = 'text/event-stream';

describe('acceptedAnswerTypes', () => {
  it.each<[string | null, string[]]>([
    [null, [text, json, events]],
    ['', [text, json, events]],
    ['*/*', [text, json, events]],
    ['text/*', [text, events]],
    ['application/json', [json]],
    ['APPLICATION/JSON', [json]],
    ['text/plain; charset=utf-8', [text]],
    ['text/plain;charset="UTF-8"', [text]],
    // What axios sends.
    ['application/json, text/plain, */*', [json, text, events]],
    ['text/event-stream, application/json;q=0.9', [events, json]],
    ['text/plain;q=0.5, application/json;q=0.8, text/event-stream;q=0.1', [json, text, events]],
    ['*/*, text/plain;q=0', [json, events]],
    ['image/png, text/event-stream;q=0.1', [events]],
    ['nonsense, application/json', [json]],
  ])('%s', (accept, types) => {
    expect(acceptedAnswerTypes(accept)).toEqual(types);
  });

  it.each(['image/png', 'text/html', 'nonsense', '*/*;q=0', ',;=,'])('refuses %s', (accept) => {
    expect(() => acceptedAnswerTypes(accept)).toThrow(expect.objectContaining({ status: 406 }));
  });
});
