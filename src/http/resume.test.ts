import { MultimodalChat, type MultimodalChatOptions, type Tool, tool } from 'multimodal-chat';
import { FakeChatModel } from 'multimodal-chat/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { fakeChat } from '../../test/support/fake-chat.js';
import { askJson, readEvents, url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';

const runs: string[] = [];
const save = tool({
  name: 'save',
  description: 'Saves a note.',
  input: z.object({ note: z.string() }),
  needsApproval: true,
  execute: ({ note }) => {
    runs.push(note);
    return 'saved';
  },
});
const locate = tool({ name: 'locate', description: 'Tells where the user is.' });

function serve(
  script: ConstructorParameters<typeof FakeChatModel>[0],
  options: HandlerOptions & MultimodalChatOptions = {},
) {
  const { apiToken, authorize, fields, prepare, ...chatOptions } = options;
  const model = new FakeChatModel(script, { capabilities: { tools: true } });
  const chat = new MultimodalChat({ model, tools: [save, locate], memory: ':memory:', ...chatOptions });
  runs.splice(0);
  onTestFinished(() => chat.close());
  return { chat, model, handler: createHandler(chat, { apiToken, authorize, fields, prepare }) };
}

const callOf = (name: string, input: object) => ({ callId: `call-${name}`, name, input: input as never });
const asks = { text: 'Shall I?', toolCalls: [callOf('save', { note: 'milk' })] };
const json = { accept: 'application/json' };

const resumeWith = (body: unknown, headers: Record<string, string> = {}) =>
  new Request(url('/infer/resume'), {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });

async function askFirst(handler: ReturnType<typeof createHandler>, headers: Record<string, string> = {}) {
  const response = await handler(askJson({ prompt: 'Note it.', session_id: 's' }, { ...json, ...headers }));
  const reply = (await response.json()) as { turn_id: string; pending: readonly object[] };
  return { session_id: 's', turn_id: reply.turn_id, pending: reply.pending };
}

describe('POST /infer/resume', () => {
  it('goes on once a call is allowed, and answers like /infer', async () => {
    const { handler } = serve([asks, 'Done.']);
    const { pending, ...turn } = await askFirst(handler);
    expect(pending).toEqual([
      { call_id: 'call-save', name: 'save', input: { note: 'milk' }, needs: 'approval' },
    ]);
    expect(runs).toEqual([]);
    const response = await handler(resumeWith({ ...turn, approvals: { 'call-save': true } }, json));
    expect([response.status, response.headers.get('x-session-id')]).toEqual([200, 's']);
    expect(await response.json()).toMatchObject({
      response: 'Shall I?\n\nDone.',
      turn_id: turn.turn_id,
      pending: [],
      tool_results: [{ call_id: 'call-save', output: 'saved' }],
    });
    expect(runs).toEqual(['milk']);
  });

  it('can be repeated if the answer broke off, without a second run', async () => {
    const { chat, handler } = serve([asks, { text: 'Do', hangs: true }, 'Done.']);
    const { pending: _, ...turn } = await askFirst(handler);
    const body = { ...turn, approvals: { 'call-save': true }, stream: true };
    const reader = (await handler(resumeWith(body))).body?.getReader();
    let seen = '';
    while (!seen.includes('"Do"')) seen += new TextDecoder().decode((await reader?.read())?.value);
    await reader?.cancel();
    expect(await (await handler(resumeWith({ ...body, stream: false }))).text()).toBe('Shall I?\n\nDone.');
    expect(runs).toEqual(['milk']);
    const [stored] = await chat.history({ sessionId: 's' });
    expect(stored?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
    // The first step and the last one; of the one between them nothing is known.
    expect(stored?.usage?.outputTokens).toBe(2 + 2);
  });

  it('tells the model of a refusal, as text', async () => {
    const { handler, model } = serve([asks, 'All right, I leave it.']);
    const { pending: _, ...turn } = await askFirst(handler);
    const response = await handler(resumeWith({ ...turn, approvals: { 'call-save': false } }));
    expect(await response.text()).toBe('Shall I?\n\nAll right, I leave it.');
    expect(runs).toEqual([]);
    expect(JSON.stringify(model.calls[1]?.request.messages)).toContain('did not allow');
  });

  it('takes the results of calls that the app ran', async () => {
    const { handler, model } = serve([{ toolCalls: [callOf('locate', {})] }, 'You are in Oslo.']);
    const { pending, ...turn } = await askFirst(handler);
    expect(pending).toMatchObject([{ needs: 'result' }]);
    const results = { 'call-locate': { city: 'Oslo' } };
    const response = await handler(resumeWith({ ...turn, results }, json));
    expect(await response.json()).toMatchObject({ response: 'You are in Oslo.' });
    expect(JSON.stringify(model.calls[1]?.request.messages)).toContain('"city":"Oslo"');
  });

  it('streams what the answer holds already, then the rest', async () => {
    const { handler } = serve([asks, 'Done.']);
    const { pending: _, ...turn } = await askFirst(handler);
    const body = { ...turn, approvals: { 'call-save': true }, stream: true };
    const response = await handler(resumeWith(body));
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = readEvents(await response.text());
    expect(events.map(({ event }) => event)).toEqual([
      ...['recall', 'text', 'tool-call', 'tool-result', 'attempt', 'text', 'text', 'done'],
    ]);
  });

  it('cannot decide twice, for other callers, or about other calls', async () => {
    const authorize = (request: Request) => ({ tenant: request.headers.get('x-tenant') ?? 'one' });
    const { handler } = serve([asks, 'Done.'], { authorize });
    const { pending: _, ...turn } = await askFirst(handler);
    const approvals = { 'call-save': true };
    const refusals = [
      await handler(resumeWith({ ...turn, approvals }, { 'x-tenant': 'two' })),
      await handler(resumeWith({ ...turn, approvals: { other: true } })),
      await handler(resumeWith({ ...turn, turn_id: 'another', approvals })),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([400, 400, 400]);
    expect(await refusals[1]?.text()).toContain('no call other');
    expect(runs).toEqual([]);
    expect((await handler(resumeWith({ ...turn, approvals }))).status).toBe(200);
    expect((await handler(resumeWith({ ...turn, approvals }))).status).toBe(400);
    expect(runs).toEqual(['milk']);
  });

  it('asks the `prepare` hook for the same tools, and takes no other question from it', async () => {
    const seen: object[] = [];
    const tools: readonly Tool[] = [save];
    const { handler } = serve([asks, 'Done.'], {
      tools: [],
      fields: ['theme'],
      prepare: (_, { fields, prompt, turnId }) => {
        seen.push({ prompt, turnId, fields });
        return { tools, prompt: prompt || 'Another question', media: [] };
      },
    });
    const { pending: _, ...turn } = await askFirst(handler);
    const body = { ...turn, approvals: { 'call-save': true }, theme: 'dark' };
    expect((await handler(resumeWith(body))).status).toBe(200);
    expect(seen).toEqual([
      { prompt: 'Note it.', turnId: undefined, fields: {} },
      { prompt: '', turnId: turn.turn_id, fields: { theme: 'dark' } },
    ]);
    expect(runs).toEqual(['milk']);
  });

  it.each<[string, unknown, Record<string, string>, number, string]>([
    ['no JSON', '{', {}, 400, 'not valid JSON'],
    ['no turn', { session_id: 's' }, {}, 400, 'turn_id'],
    [
      'a decision that is none',
      { session_id: 's', turn_id: 't', approvals: { a: 'yes' } },
      {},
      400,
      'approvals.a',
    ],
    ['an unknown field', { session_id: 's', turn_id: 't', aprovals: {} }, {}, 400, 'aprovals'],
    [
      'a form',
      'session_id=s',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'application/json',
    ],
    ['a compressed body', '{}', { 'content-encoding': 'gzip' }, 415, 'uncompressed'],
    [
      'more than a megabyte',
      { session_id: 's', turn_id: 't', results: { a: 'x'.repeat(2 ** 20) } },
      {},
      413,
      'larger than',
    ],
    ['a page of another origin', {}, { origin: 'https://evil.example' }, 403, ''],
  ])('refuses %s', async (_, body, headers, status, sentence) => {
    const { handler, model } = serve([]);
    const response = await handler(resumeWith(body, headers));
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(sentence);
    expect(model.calls).toEqual([]);
  });

  it('needs the token, and is only posted to', async () => {
    const { handler } = serve([], { apiToken: 'a-long-enough-token' });
    expect((await handler(resumeWith({}))).status).toBe(401);
    expect((await handler(new Request(url('/infer/resume')))).status).toBe(405);
  });

  it('says so if the chat cannot go on with a turn', async () => {
    const response = await createHandler(fakeChat())(resumeWith({ session_id: 's', turn_id: 't' }));
    expect(response.status).toBe(501);
    expect(await response.text()).toContain('cannot go on with a turn');
  });
});
