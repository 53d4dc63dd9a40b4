import { answerTo, bigOf, halfOf } from './answer.js';
import type { Question, RawReply } from './ask.js';
import { type Plan, projects, statusOf } from './plans.js';

export type Verdict =
  | { readonly type: 'right' }
  /** A typed error that fits the fault: its status and code. */
  | { readonly type: 'error'; readonly label: string; readonly message: string }
  | { readonly type: 'wrong'; readonly why: string };

type Json = Readonly<Record<string, unknown>>;

/** Why a reply is wrong. */
class Wrong extends Error {}

function demand(holds: boolean, why: string): asserts holds {
  if (!holds) throw new Wrong(why);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const secrets = projects.flatMap(({ keys }) => keys);
const shown = (text: string) => JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);

function parse(text: string): Json {
  const value: unknown = JSON.parse(text);
  demand(typeof value === 'object' && value !== null, `is no JSON object: ${shown(text)}`);
  return value as Json;
}

/** Checks a reply, whatever it is, against the question and what the fault allows. */
export function judge(question: Question, reply: RawReply, plan: Plan): Verdict {
  try {
    const text = utf8.decode(reply.body);
    for (const secret of secrets) demand(!text.includes(secret), `shows a key: ${shown(text)}`);
    demand(reply.headers['x-session-id'] === question.sessionId, 'names another session, or none');
    if (reply.status !== 200) return judgeRefusal(reply, text, plan);
    const type = reply.headers['content-type'];
    demand(type === `${question.format}; charset=utf-8`, `is labelled ${type}`);
    if (question.format === 'text/event-stream') return judgeEvents(question, text, plan);
    if (question.format === 'text/plain') checkAnswer(question, text, plan);
    else checkReply(question, parse(text), plan);
    return { type: 'right' };
  } catch (error) {
    if (error instanceof Wrong) return { type: 'wrong', why: error.message };
    return { type: 'wrong', why: `cannot be read: ${String(error)}` };
  }
}

/** The answer to the character; `finishReason` where the format tells it. */
function checkAnswer(
  { prompt }: Question,
  text: string,
  { fault, form }: Plan,
  finishReason?: unknown,
): void {
  const whole = answerTo(prompt);
  const isOther = form === 'half' ? text === halfOf(whole) : form === 'big' && text === bigOf(whole);
  demand(
    text === whole || isOther,
    `is not the answer: ${text.length} for ${whole.length} characters, ${shown(text)}`,
  );
  if (finishReason === undefined) return;
  const reasons =
    form === 'half' && isOther
      ? ['max-tokens']
      : ['stop', ...(fault === 'unknown-finish' ? ['unknown'] : [])];
  demand(reasons.includes(String(finishReason)), `has the finish reason ${finishReason}`);
}

function checkReply(question: Question, reply: Json, plan: Plan): void {
  demand(reply.session_id === question.sessionId, `is of the session ${reply.session_id}`);
  demand(reply.remembered === true, 'was not remembered');
  demand(typeof reply.turn_id === 'string' && reply.turn_id !== '', 'has no turn');
  demand(reply.finish_reason !== undefined, 'has no finish reason');
  checkAnswer(question, String(reply.response), plan, reply.finish_reason);
}

function judgeRefusal({ status, headers }: RawReply, text: string, plan: Plan): Verdict {
  demand(
    headers['content-type'] === 'application/json; charset=utf-8',
    `is labelled ${headers['content-type']}`,
  );
  const body = parse(text);
  const { verdict, retryAfterMs } = checkError(body, status, plan);
  const wanted = retryAfterMs === undefined ? undefined : String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  demand(headers['retry-after'] === wanted, `has Retry-After ${headers['retry-after']}, not ${wanted}`);
  return verdict;
}

function checkError(
  body: Json,
  status: number,
  plan: Plan,
): { verdict: Verdict; retryAfterMs: number | undefined } {
  const error = (body.error ?? {}) as { code?: unknown; message?: unknown; retry_after_ms?: number };
  const code = String(error.code);
  const message = error.message;
  demand(
    typeof message === 'string' && message.length > 10,
    `has no sentence: ${shown(JSON.stringify(body))}`,
  );
  demand(body.detail === message, `tells two stories: ${shown(JSON.stringify(body))}`);
  demand(plan.errors.includes(code), `has the code ${code}, which is not right here: ${shown(message)}`);
  demand(statusOf[code] === status, `has the status ${status} with ${code}`);
  const retryAfterMs = error.retry_after_ms;
  demand(retryAfterMs === undefined || retryAfterMs >= 0, `advises to wait ${retryAfterMs} ms`);
  return { verdict: { type: 'error', label: `${status} ${code}`, message }, retryAfterMs };
}

const eventPattern = /^event: ([a-z-]+)\ndata: (.*)$/;
const knownEvents = [
  ...['media', 'recall', 'attempt', 'thought', 'text', 'restart', 'done', 'error'],
  ...['file', 'code', 'code-result', 'tool-call', 'tool-result', 'source', 'object'],
];

/** What a reader of the events has seen when they end, and whether they end as they must. */
function judgeEvents(question: Question, text: string, plan: Plan): Verdict {
  demand(text.endsWith('\n\n'), `ends in the middle of an event: ${shown(text.slice(-300))}`);
  const blocks = text.split('\n\n').filter((block) => block !== '' && block !== ': heartbeat');
  let seen = '';
  for (const [at, block] of blocks.entries()) {
    const [, name = '', data = ''] = eventPattern.exec(block) ?? [];
    demand(knownEvents.includes(name), `has an event of an unknown kind: ${shown(block)}`);
    const isLast = at === blocks.length - 1;
    demand(isLast === (name === 'done' || name === 'error'), `has "${name}" in the wrong place`);
    const value = parse(data);
    if (name === 'text') seen += String(value.text);
    else if (name === 'restart') seen = '';
    else if (name === 'error') return checkError(value, Number(value.status), plan).verdict;
    else if (name === 'done') {
      checkReply(question, value, plan);
      demand(seen === value.response, `showed something else than it said at the end: ${shown(seen)}`);
    }
  }
  demand(blocks.length > 0, 'has no events');
  return { type: 'right' };
}
