import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AskOptions,
  chunksOf,
  errorOf,
  finishesOf,
  partsOf,
  promptOf,
  type Received,
  ask as send,
  textOf,
} from '../../../../test/support/gemini-wire.js';
import { type GeminiEmulator, startGeminiEmulator } from '../gemini-emulator.js';
import { type FaultName, faultNames, type Injection } from './faults.js';

const said = 'Grüße aus Zürich: the quick brown fox jumps over the lazy dog, twice — 秋風, 🍂.';

let emulator: GeminiEmulator;
beforeAll(async () => {
  emulator = await startGeminiEmulator();
});
afterAll(() => emulator.close());

async function ask(injection: Injection, options?: AskOptions): Promise<Received> {
  emulator.say(said);
  emulator.inject(injection);
  return receive(options);
}

const receive = (options?: AskOptions) => send(emulator, undefined, options);
const finishOf = (received: Received) => finishesOf(received).at(-1);

/** What each fault that is more than an error status does to a stream. */
const effects: Partial<Record<FaultName, (received: Received) => void>> = {
  'reset-before-headers': (received) => {
    expect(received.status).toBe(0);
    expect(received.error).toBeInstanceOf(TypeError);
  },
  'reset-mid-body': (received) => {
    expect(received.status).toBe(200);
    expect(received.error).toBeDefined();
    expect(said.startsWith(textOf(received))).toBe(true);
    expect(textOf(received)).not.toBe('');
  },
  'split-utf8': (received) => {
    expect(textOf(received)).toBe(said);
    expect(received.pieces).toBeGreaterThan(6);
  },
  crlf: (received) => {
    expect(textOf(received)).toBe(said);
    expect(received.pieces).toBeGreaterThan(4);
  },
  'done-marker': (received) => {
    expect(textOf(received)).toBe(said);
    expect(received.text.endsWith('}\r\n\r\ndata: [DONE]\r\n\r\n')).toBe(true);
  },
  'done-marker-lf': (received) => {
    expect(textOf(received)).toBe(said);
    expect(received.text).not.toContain('\r');
    expect(received.text.endsWith('}\n\ndata: [DONE]')).toBe(true);
  },
  'reset-after-end': (received) => {
    expect([textOf(received), finishOf(received)]).toEqual([said, 'STOP']);
    expect(received.error).toBeInstanceOf(TypeError);
  },
  'rubbish-after-end': (received) => {
    const [answer = '', rest] = received.text.split(': keep-alive');
    expect(textOf({ ...received, text: answer })).toBe(said);
    expect(rest).toMatch(/<html>.*\r\n\r\nevent: message_stop/);
  },
  'error-after-end': (received) => {
    expect([textOf(received), finishOf(received)]).toEqual([said, 'STOP']);
    expect(received.text).toMatch(/event: error\r\ndata: (.*)\r\n\r\ndata: \1\r\n\r\n$/);
  },
  'unspecified-finish': (received) => {
    expect(textOf(received)).toBe(said);
    const unspecified = Array(3).fill('FINISH_REASON_UNSPECIFIED');
    expect(finishesOf(received)).toEqual([...unspecified, 'STOP']);
  },
  'repeated-finish': (received) => {
    expect(textOf(received)).toBe(said);
    expect(finishesOf(received)).toEqual(Array(4).fill('STOP'));
  },
  'late-usage': (received) => {
    const [before, last] = chunksOf(received).slice(-2);
    expect([before?.candidates?.[0]?.finishReason, before?.usageMetadata]).toEqual(['STOP', undefined]);
    expect([last?.candidates, last?.usageMetadata?.totalTokenCount]).toEqual([undefined, expect.any(Number)]);
    expect(textOf(received)).toBe(said);
  },
  'json-array': (received) => {
    expect(received.contentType).toBe('application/json; charset=UTF-8');
    expect(JSON.parse(received.text)).toHaveLength(4);
  },
  'json-object': (received) => {
    expect(received.contentType).toBe('application/json; charset=UTF-8');
    const reply = { candidates: [{ content: { parts: [{ text: said }] }, finishReason: 'STOP' }] };
    expect(JSON.parse(received.text)).toMatchObject(reply);
  },
  ndjson: (received) => {
    const lines = received.text.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).candidates[0].content.parts[0].text).join('')).toBe(said);
  },
  'gateway-sign-in': (received) => {
    expect([received.status, received.contentType]).toEqual([200, 'text/html; charset=UTF-8']);
    expect(received.text).toContain('Sign in');
  },
  'html-error': (received) => {
    expect([received.status, received.contentType]).toEqual([502, 'text/html; charset=UTF-8']);
    expect(received.text).toContain('<h1>');
  },
  'wrong-content-type': (received) => {
    expect(received.contentType).toBe('text/html; charset=UTF-8');
    expect(textOf(received)).toBe(said);
  },
  'truncated-json': (received) => {
    expect(received.error).toBeUndefined();
    expect(() => chunksOf(received)).toThrow(SyntaxError);
  },
  'no-finish': (received) => {
    expect(textOf(received)).toBe(said);
    expect(finishOf(received)).toBeUndefined();
  },
  'event-error': (received) => {
    expect(received.error).toBeUndefined();
    expect(received.text).toMatch(/^data: .*\r\n\r\nevent: error\r\ndata: \{"error":\{"code":503/);
  },
  'error-in-stream': (received) => {
    expect(received.status).toBe(200);
    expect(received.text).toMatch(/^data: .*\r\n\r\n\{\n {2}"error": \{\n {4}"code": 503,/);
  },
  'duplicate-chunks': (received) => {
    const texts = partsOf(received).map(({ text }) => text);
    expect(texts).toHaveLength(7);
    expect(texts[0]).toBe(texts[1]);
    expect([...texts.slice(0, -1).filter((_, index) => index % 2 === 0), texts.at(-1)].join('')).toBe(said);
  },
  'thoughts-only': (received) => {
    expect(partsOf(received).length).toBeGreaterThan(0);
    expect(textOf(received)).toBe('');
    expect(finishOf(received)).toBe('STOP');
  },
  'empty-candidates': (received) => expect(chunksOf(received)).toMatchObject([{ candidates: [] }]),
  'empty-body': (received) => expect([received.status, received.text]).toEqual([200, '']),
  safety: (received) => {
    expect(finishOf(received)).toBe('SAFETY');
    expect(said.startsWith(textOf(received))).toBe(true);
  },
  'prompt-blocked': (received) =>
    expect(chunksOf(received)).toMatchObject([{ promptFeedback: { blockReason: 'SAFETY' } }]),
  'unknown-block': (received) =>
    expect(chunksOf(received)).toMatchObject([{ promptFeedback: { blockReason: 'FAKE_NEW_BLOCK_REASON' } }]),
  recitation: (received) => expect(finishOf(received)).toBe('RECITATION'),
  'max-tokens': (received) => {
    expect(finishOf(received)).toBe('MAX_TOKENS');
    expect(textOf(received).length).toBeLessThan(said.length);
  },
  'unknown-finish': (received) => {
    expect(finishOf(received)).toBe('FAKE_NEW_FINISH_REASON');
    expect(textOf(received)).toBe(said);
  },
  'big-chunk': (received) => {
    expect(chunksOf(received)).toHaveLength(1);
    expect(textOf(received)).toHaveLength(10 * 1024 * 1024);
  },
};

const statuses: Partial<Record<FaultName, number>> = {
  'bad-key': 400,
  'expired-key': 400,
  'restricted-key': 403,
  'leaked-key': 403,
  suspended: 403,
  'service-disabled': 403,
  'rate-limit': 429,
  'token-limit': 429,
  'rate-limit-bare': 429,
  'daily-quota': 429,
  'no-quota': 429,
  overloaded: 503,
  internal: 500,
  deadline: 504,
  'model-not-found': 404,
  'spend-limit': 429,
  'invalid-argument': 400,
  'gateway-unauthorized': 401,
  'gateway-forbidden': 403,
  'gateway-rate-limit': 429,
  'gateway-unavailable': 503,
};

/** They need a delay, an end that the client brings about, or a special request. */
const testedElsewhere: readonly FaultName[] = [
  ...['slow-first-byte', 'slow-thinking', 'stall', 'open-end', 'trickle', 'refuse'],
  ...['corrupted-signature', 'invalid-signature'],
] as FaultName[];

describe('faults', () => {
  it('are each in exactly one table of this test', () => {
    expect([...Object.keys(effects), ...Object.keys(statuses), ...testedElsewhere].sort()).toEqual(
      [...faultNames].sort(),
    );
  });

  it.each(Object.entries(statuses) as [FaultName, number][])('%s answers %i', async (fault, status) => {
    expect((await ask({ fault })).status).toBe(status);
    expect(emulator.journal.at(-1)).toMatchObject({ fault, status, aborted: false });
  });

  it.each(Object.keys(effects) as FaultName[])('%s changes a stream as documented', async (fault) => {
    effects[fault]?.(await ask({ fault }));
    await emulator.whenIdle();
    expect(emulator.journal.at(-1)).toMatchObject({ fault, aborted: false });
  });

  it('slow-first-byte and trickle change only the timing', async () => {
    expect(textOf(await ask({ fault: 'slow-first-byte', delayMs: 1 }))).toBe(said);
    const trickled = await ask({ fault: 'trickle', delayMs: 0 });
    expect(textOf(trickled)).toBe(said);
    expect(trickled.pieces).toBeGreaterThan(10);
  });

  it('open-end leaves the connection open after the whole answer', async () => {
    const controller = new AbortController();
    emulator.say('Whole.');
    emulator.inject({ fault: 'open-end' });
    const response = await fetch(
      `${emulator.url}/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse`,
      {
        method: 'POST',
        headers: { 'x-goog-api-key': 'a-key' },
        body: JSON.stringify(promptOf('Hello')),
        signal: controller.signal,
      },
    );
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('"STOP"')) text += Buffer.from((await reader.read()).value ?? []).toString();
    const next = reader.read();
    controller.abort();
    await expect(next).rejects.toThrow();
    await emulator.whenIdle();
    expect(emulator.journal.at(-1)).toMatchObject({ fault: 'open-end', aborted: true, status: 200 });
  });

  it('of signatures strike only calls that hold one, not what stands for one', async () => {
    const unsigned = promptOf('Hello');
    const signedBy = (thoughtSignature: string) => ({
      contents: [
        ...(unsigned.contents ?? []),
        { role: 'model', parts: [{ text: 'Hi', thoughtSignature }] },
        ...(unsigned.contents ?? []),
      ],
    });
    const { text } = await send(emulator, unsigned);
    const signed = signedBy(/"thoughtSignature":\s*"([^"]+)"/.exec(text)?.[1] ?? '');
    const standIn = signedBy('skip_thought_signature_validator');
    for (const [fault, message] of [
      ['corrupted-signature', '400 Corrupted thought signature.'],
      ['invalid-signature', '400 Invalid thought signature'],
    ] as const) {
      emulator.inject({ fault });
      expect((await send(emulator, unsigned)).status).toBe(200);
      expect((await send(emulator, standIn)).status).toBe(200);
      expect(errorOf(await send(emulator, signed))).toBe(message);
      expect((await send(emulator, signed)).status).toBe(200);
    }
  });

  it('of a gateway have a body of its own', async () => {
    const bodyOf = async (fault: FaultName) => (await ask({ fault })).text;
    expect(JSON.parse(await bodyOf('gateway-unauthorized'))).toEqual({ message: 'Invalid API key: a-key' });
    expect(JSON.parse(await bodyOf('gateway-forbidden'))).toEqual({ detail: expect.any(String) });
    expect(JSON.parse(await bodyOf('gateway-rate-limit'))).toEqual({ error: expect.any(String) });
    expect(await bodyOf('gateway-unavailable')).toMatch(/^upstream connect error/);
  });

  it('cut a reply of one piece in its middle', async () => {
    for (const fault of ['truncated-json', 'reset-mid-body'] as const) {
      const received = await ask({ fault }, { method: 'generateContent' });
      expect(received.status).toBe(200);
      expect(() => JSON.parse(received.text)).toThrow(SyntaxError);
    }
  });

  it('apply as often as injected, in order, and not after clearFaults', async () => {
    emulator.inject({ fault: 'overloaded', times: 2 });
    emulator.inject({ fault: 'internal' });
    emulator.inject({ fault: 'deadline', times: Number.POSITIVE_INFINITY });
    const statuses: number[] = [];
    for (let call = 0; call < 5; call++) statuses.push((await receive()).status);
    expect(statuses).toEqual([503, 503, 500, 504, 504]);
    emulator.clearFaults();
    expect((await receive()).status).toBe(200);
  });

  it('apply to other operations if asked to', async () => {
    emulator.inject({ fault: 'truncated-json', operation: 'models' });
    const received = await fetch(`${emulator.url}/v1/models`, { headers: { 'x-goog-api-key': 'k' } });
    await expect(received.json()).rejects.toThrow(SyntaxError);
    emulator.inject({ fault: 'overloaded', operation: 'upload' });
    const upload = await fetch(`${emulator.url}/upload/v1beta/files`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'k', 'x-goog-upload-command': 'start' },
    });
    expect(upload.status).toBe(503);
  });
});

describe('a raw reply', () => {
  it('is sent unchanged, an object as JSON', async () => {
    const html = { status: 404, contentType: 'text/html', body: '<p>gone' };
    expect(await ask({ reply: html })).toMatchObject({
      status: 404,
      contentType: 'text/html',
      text: '<p>gone',
    });
    const json = await ask({ reply: { body: { candidates: [] } } });
    expect([json.status, JSON.parse(json.text)]).toEqual([200, { candidates: [] }]);
  });
});
