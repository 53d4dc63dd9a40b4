import { describe, expect, it } from 'vitest';
import { answerTo, halfOf, promptOf } from './answer.js';
import type { Question, RawReply } from './ask.js';
import { judge } from './judge.js';
import { type PlanName, plans } from './plans.js';

const prompt = promptOf('4711');
const answer = answerTo(prompt);
const sessionId = 's1';

function planOf(name: PlanName) {
  const plan = plans.find(({ fault }) => fault === name);
  if (!plan) throw new Error(`There is no plan for ${name}.`);
  return plan;
}

interface Case {
  readonly format?: Question['format'];
  readonly status?: number;
  readonly type?: string;
  readonly session?: string;
  readonly retryAfter?: string;
  readonly body: string | Buffer;
  readonly fault?: PlanName;
}

function judged({ format = 'text/plain', fault = 'none', ...given }: Case) {
  const { status = 200, session = sessionId, retryAfter, body } = given;
  const type = given.type ?? `${status === 200 ? format : 'application/json'}; charset=utf-8`;
  const headers: RawReply['headers'] = { 'content-type': type, 'x-session-id': session };
  if (retryAfter !== undefined) headers['retry-after'] = retryAfter;
  return judge({ prompt, sessionId, format }, { status, headers, body: Buffer.from(body) }, planOf(fault));
}

const reply = (fields: object = {}) => ({
  response: answer,
  session_id: sessionId,
  turn_id: 't1',
  finish_reason: 'stop',
  remembered: true,
  ...fields,
});
const refusal = (code: string, fields: object = {}) => {
  const message = 'The model is overloaded.';
  return JSON.stringify({ detail: message, error: { code, message, ...fields } });
};
const events = (...list: readonly (readonly [string, object])[]) =>
  list.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join('');
const stream = 'text/event-stream' as const;
const json = 'application/json' as const;
const overloaded = JSON.parse(refusal('MODEL_OVERLOADED', {})) as object;

describe('the judge of replies under faults', () => {
  it.each<[string, Case]>([
    ['the answer as text', { body: answer }],
    ['the answer as JSON', { format: json, body: JSON.stringify(reply()) }],
    [
      'the answer as events, after a new start',
      {
        format: stream,
        body: events(
          ['text', { text: 'Ant' }],
          ['restart', {}],
          ['text', { text: answer }],
          ['done', reply()],
        ),
      },
    ],
    ['half an answer that was cut short by the model', { body: halfOf(answer), fault: 'max-tokens' }],
  ])('takes %s', (_, given) => {
    expect(judged(given)).toEqual({ type: 'right' });
  });

  it.each<[string, Case, string]>([
    [
      'a refusal',
      { status: 503, body: refusal('MODEL_OVERLOADED'), fault: 'overloaded' },
      '503 MODEL_OVERLOADED',
    ],
    [
      'a refusal with advice',
      {
        status: 503,
        body: refusal('KEY_POOL_EXHAUSTED', { retry_after_ms: 1_001 }),
        retryAfter: '2',
        fault: 'overloaded',
      },
      '503 KEY_POOL_EXHAUSTED',
    ],
    [
      'an error event',
      { format: stream, body: events(['error', { status: 503, ...overloaded }]), fault: 'overloaded' },
      '503 MODEL_OVERLOADED',
    ],
  ])('takes %s where it fits the fault', (_, given, label) => {
    expect(judged(given)).toMatchObject({ type: 'error', label });
    expect(judged({ ...given, fault: 'crlf' })).toMatchObject({ type: 'wrong' });
  });

  it.each<[string, Case]>([
    ['an answer twice', { body: answer + answer }],
    ['the answer to another prompt', { body: answerTo(promptOf('4712')) }],
    ['half an answer without a reason', { body: halfOf(answer) }],
    [
      'half an answer with the reason of a whole one',
      { format: json, body: JSON.stringify(reply({ response: halfOf(answer) })), fault: 'max-tokens' },
    ],
    ['damaged characters', { body: Buffer.from(answer).subarray(0, -1) }],
    ['nothing', { body: '' }],
    ['another session', { body: answer, session: 's2' }],
    ['another type', { body: answer, type: 'text/html' }],
    ['a key', { body: `${answer} faults-key-alpha-000001` }],
    ['a reply that was not remembered', { format: json, body: JSON.stringify(reply({ remembered: false })) }],
    ['events without an end', { format: stream, body: events(['text', { text: answer }]) }],
    [
      'half an event',
      { format: stream, body: events(['text', { text: answer }], ['done', reply()]).slice(0, -9) },
    ],
    [
      'events after the end',
      {
        format: stream,
        body: events(['text', { text: answer }], ['done', reply()], ['text', { text: 'x' }]),
      },
    ],
    [
      'events that lack a piece',
      { format: stream, body: events(['text', { text: answer.slice(9) }], ['done', reply()]) },
    ],
    [
      'a status that is not of the code',
      { status: 502, body: refusal('MODEL_OVERLOADED'), fault: 'overloaded' },
    ],
    ['a code that nobody knows', { status: 500, body: refusal('INTERNAL'), fault: 'overloaded' }],
    [
      'advice that only the body gives',
      { status: 503, body: refusal('MODEL_OVERLOADED', { retry_after_ms: 5 }), fault: 'overloaded' },
    ],
    ['an error page', { status: 502, type: 'text/html', body: '<h1>Bad Gateway</h1>', fault: 'html-error' }],
  ])('turns down %s', (_, given) => {
    expect(judged(given)).toMatchObject({ type: 'wrong' });
  });
});
