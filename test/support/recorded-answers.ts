import { readFileSync } from 'node:fs';

/** A recorded reply with status 200 and its expected outcome. */
export interface RecordedAnswer {
  readonly name: string;
  readonly contentType: string;
  readonly body: unknown;
  readonly text: string;
  readonly thoughts: string;
  /** The finish reason, or `blocked: reason`, or `kind/scope: reason` of the failure. */
  readonly end: string;
}

const folder = new URL('../fixtures/gemini-payloads/', import.meta.url);

const emptyAnswer = 'incomplete/call: NO_FINISH_REASON';

/** Name, outcome, and the text if it is short. */
const outcomes: readonly (readonly [name: string, end: string, text?: string])[] = [
  ['200_empty_content', emptyAnswer],
  ['200_finish_safety', 'blocked: SAFETY', 'Safety error incoming in 5, 4, 3, 2...'],
  ['200_malformed_content', emptyAnswer],
  ['200_not_gemini_json', 'incomplete/call: EMPTY_REPLY'],
  ['200_only_prompt_feedback', emptyAnswer],
  ['200_other_no_content', 'incomplete/call: OTHER'],
  ['200_prompt_blocked_safety', 'blocked: SAFETY'],
  ['200_unknown_block_enum', 'blocked: FAKE_NEW_BLOCK_REASON'],
  ['200_unknown_finish_enum', 'unknown', 'Some text'],
  ['stream_empty_content', emptyAnswer],
  ['stream_error_mid_499', 'incomplete/call: CANCELLED', 'First Second '],
  ['stream_finish_safety', 'blocked: SAFETY', '<redacted>'],
  ['stream_invalid_json', 'incomplete/call: EMPTY_REPLY'],
  ['stream_no_content_parts', 'stop'],
  ['stream_prompt_blocked', 'blocked: SAFETY'],
  ['stream_recitation', 'blocked: RECITATION', 'text1text2text3text4text5text6text7text8'],
  ['stream_thinking', 'stop'],
  ['stream_utf8', 'stop'],
];

/** The text of a recorded stream, read by the simplest possible parser. */
function textOf(body: unknown, ofThoughts: boolean): string {
  const lines = typeof body === 'string' ? body.split('\n').filter((line) => line.startsWith('data: {')) : [];
  const parts = lines.flatMap((line) => JSON.parse(line.slice(6)).candidates?.[0]?.content?.parts ?? []);
  return parts
    .filter((part: { thought?: boolean }) => Boolean(part.thought) === ofThoughts)
    .map((part: { text?: string }) => part.text ?? '')
    .join('');
}

/** Every recorded reply with status 200: whole answers and streams. */
export const recordedAnswers: readonly RecordedAnswer[] = outcomes.map(([name, end, text]) => {
  const { body, contentType } = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
  return { name, contentType, body, end, text: text ?? textOf(body, false), thoughts: textOf(body, true) };
});

/** A recorded body as it goes over the wire. */
export const wireBytes = (body: unknown): Uint8Array =>
  new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body, null, 2));
