import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultimodalChat } from 'multimodal-chat';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

interface WirePart {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly functionCall?: unknown;
  readonly functionResponse?: unknown;
  readonly inlineData?: { readonly mimeType: string; readonly data: string };
  readonly executableCode?: unknown;
  readonly codeExecutionResult?: unknown;
}
interface WireContent {
  readonly role: string;
  readonly parts: readonly WirePart[];
}
interface WireCall {
  readonly key: string;
  readonly model: string;
  readonly contents: readonly WireContent[];
  readonly bytes: number;
  status: number;
}

const alias = 'gemini-flash-latest';
const fallback = 'gemini-3.5-flash-lite';
const picture = Buffer.from('89504e470d0a1a0a', 'hex').toString('base64');

/** What the model answers, in turn; every kind of part that a later request could choke on. */
const answers: readonly (readonly WirePart[])[] = [
  [{ text: 'x'.repeat(12_000), thought: true }, { text: 'Hello.' }],
  [{ text: 'A picture:' }, { inlineData: { mimeType: 'image/png', data: picture } }],
  [
    { executableCode: { language: 'PYTHON', code: 'print(1)' } },
    { codeExecutionResult: { outcome: 'OUTCOME_OK', output: '1' } },
    { text: 'One.' },
  ],
  [{ text: 'I will look.' }, { functionCall: { name: 'find', args: { id: 7 } } }],
];

let server: Server;
let dataDir: string;
let calls: WireCall[];
/** What the alias stands for; signatures of another model are refused. */
let version: string;
let isOverloaded: boolean;
let answered: number;

const signatureOf = (key: string, model: string) =>
  Buffer.from(`${key} ${model} ${version}`).toString('base64');

/** The sentence of a 400, as Gemini has them. */
function faultIn({ contents, key, model }: WireCall): string | undefined {
  for (const [at, { parts }] of contents.entries()) {
    for (const { functionCall, functionResponse, thoughtSignature } of parts) {
      if (thoughtSignature !== undefined && thoughtSignature !== signatureOf(key, model)) {
        return 'Corrupted thought signature.';
      }
      const next = contents[at + 1]?.parts ?? [];
      if (functionCall !== undefined && !next.some((part) => part.functionResponse !== undefined)) {
        return 'Please ensure that function call turn comes immediately after a user turn or after a function response turn.';
      }
      const before = contents[at - 1]?.parts ?? [];
      if (functionResponse !== undefined && !before.some((part) => part.functionCall !== undefined)) {
        return 'Please ensure that function response turn comes immediately after a function call turn.';
      }
    }
  }
  return undefined;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  const key = String(request.headers['x-goog-api-key']);
  const model = /models\/([^:]+):/.exec(request.url ?? '')?.[1] ?? '';
  const { contents } = JSON.parse(body.toString('utf8')) as { contents: WireContent[] };
  const call: WireCall = { key, model, contents, bytes: body.length, status: 200 };
  calls.push(call);
  const refuse = (code: number, status: string, message: string) => {
    call.status = code;
    response.writeHead(code, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { code, status, message } }));
  };
  if (isOverloaded && model === alias) return refuse(503, 'UNAVAILABLE', 'The model is overloaded.');
  const fault = faultIn(call);
  if (fault !== undefined) return refuse(400, 'INVALID_ARGUMENT', fault);
  const said = answers[answered % answers.length] ?? [];
  answered += 1;
  const thoughtSignature = signatureOf(key, model);
  const parts = said.map((part) =>
    part.thought || part.codeExecutionResult ? part : { ...part, thoughtSignature },
  );
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const part of parts) {
    response.write(
      `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts: [part] } }] })}\r\n\r\n`,
    );
  }
  const usageMetadata = { promptTokenCount: 9, candidatesTokenCount: 1, totalTokenCount: 10 };
  response.end(`data: ${JSON.stringify({ candidates: [{ finishReason: 'STOP' }], usageMetadata })}\r\n\r\n`);
}

beforeEach(async () => {
  [calls, version, isOverloaded, answered] = [[], 'one', false, 0];
  dataDir = await mkdtemp(join(tmpdir(), 'moving-'));
  server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(dataDir, { recursive: true, force: true });
});

const openChat = (keys: readonly string[], options: object = {}) =>
  new MultimodalChat({
    keys: keys.map((key) => ({ key, project: key })),
    model: alias,
    fallbackModels: [fallback],
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    dataDir,
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });
const refusals = () => calls.filter(({ status }) => status === 400).length;

describe('a conversation that moves across keys, projects, models and processes', () => {
  it('is answered at every turn, at no more than one call more each', async () => {
    /** Before each turn: what happens to the conversation. */
    const moves: Readonly<Record<number, () => void>> = {
      4: () => {
        isOverloaded = true;
      },
      6: () => {
        isOverloaded = false;
      },
      7: () => {
        version = 'two';
      },
    };
    const processes = [
      { keys: ['key-of-alpha-0001'], turns: 2 },
      { keys: ['key-of-alpha-0001', 'key-of-beta-00001'], turns: 5 },
      { keys: ['key-of-beta-00001', 'key-of-gamma-0001'], turns: 3 },
    ];
    let turn = 0;
    for (const { keys, turns } of processes) {
      await using chat = openChat(keys);
      for (let each = 0; each < turns; each += 1) {
        turn += 1;
        moves[turn]?.();
        const before = refusals();
        const { stored } = await chat.send({ sessionId: 's', prompt: `Question ${turn}.` });
        expect(stored).toBe(true);
        expect(refusals() - before).toBeLessThanOrEqual(1);
      }
    }
    expect(turn).toBe(10);
    expect(refusals()).toBeGreaterThan(0);
    await using chat = openChat(['key-of-alpha-0001']);
    expect(await chat.history({ sessionId: 's' })).toHaveLength(10);
    const asked = calls
      .at(-1)
      ?.contents.flatMap(({ parts }) => parts.map(({ text }) => text))
      .join('\n');
    expect(asked).toContain('Question 9.');
    expect(asked).toContain('Hello.');
  });

  it('sends no thoughts, and stays within the budget of recent turns', async () => {
    await using chat = openChat(['key-of-alpha-0001'], { context: { recentTokens: 2_000 } });
    for (let turn = 1; turn <= 10; turn += 1)
      await chat.send({ sessionId: 's', prompt: `Question ${turn}.` });
    expect(refusals()).toBe(0);
    expect(
      calls.some(({ contents }) => contents.some(({ parts }) => parts.some(({ thought }) => thought))),
    ).toBe(false);
    expect(Math.max(...calls.map(({ bytes }) => bytes))).toBeLessThan(9_000);
  });
});
