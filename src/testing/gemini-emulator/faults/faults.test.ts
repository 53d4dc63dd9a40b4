import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GeminiEmulator, startGeminiEmulator } from '../gemini-emulator.js';
import { type FaultName, faultNames, type Injection } from './faults.js';

const said = 'Grüße aus Zürich: the quick brown fox jumps over the lazy dog, twice — 秋風, 🍂.';

let emulator: GeminiEmulator;
beforeAll(async () => {
  emulator = await startGeminiEmulator();
});
afterAll(() => emulator.close());

const body = JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] });
const path = '/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse';

interface Received {
  readonly status: number;
  readonly contentType: string | null;
  readonly text: string;
  /** The pieces in which the body arrived. */
  readonly pieces: number;
  readonly error: unknown;
}

async function ask(injection: Injection, method?: string): Promise<Received> {
  emulator.say(said);
  emulator.inject(injection);
  return receive(method);
}

async function receive(method = path): Promise<Received> {
  const received = { status: 0, contentType: null as string | null, text: '', pieces: 0 };
  try {
    const response = await fetch(`${emulator.url}${method}`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'a-key' },
      body,
    });
    received.status = response.status;
    received.contentType = response.headers.get('content-type');
    const decoder = new TextDecoder();
    for await (const piece of response.body ?? []) {
      received.pieces++;
      received.text += decoder.decode(piece, { stream: true });
    }
    return { ...received, error: undefined };
  } catch (error) {
    return { ...received, error };
  }
}

interface Chunk {
  readonly candidates?: readonly {
    readonly content?: { readonly parts: readonly { readonly text: string; readonly thought?: boolean }[] };
    readonly finishReason?: string;
  }[];
}

const chunksOf = ({ text }: Received): Chunk[] =>
  text
    .split('\r\n\r\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice('data: '.length)));

const partsOf = (received: Received) =>
  chunksOf(received).flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []);
const textOf = (received: Received) =>
  partsOf(received)
    .filter(({ thought }) => !thought)
    .map(({ text }) => text)
    .join('');
const finishOf = (received: Received) =>
  chunksOf(received)
    .map((chunk) => chunk.candidates?.[0]?.finishReason)
    .at(-1);

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
};

/** Tested below, and in files of their own: they need a delay or an end that the client brings about. */
const timed: readonly FaultName[] = ['slow-first-byte', 'stall', 'trickle', 'refuse'];

describe('faults', () => {
  it('are each in exactly one table of this test', () => {
    expect([...Object.keys(effects), ...Object.keys(statuses), ...timed].sort()).toEqual(
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

  it('cut a reply of one piece in its middle', async () => {
    const path = '/v1beta/models/gemini-3.8-flash:generateContent';
    for (const fault of ['truncated-json', 'reset-mid-body'] as const) {
      const received = await ask({ fault }, path);
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
