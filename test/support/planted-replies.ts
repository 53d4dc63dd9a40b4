import { readdirSync, readFileSync } from 'node:fs';

type Json = Record<string, unknown>;

/** A recorded reply of the service. */
export interface RecordedReply {
  readonly name: string;
  readonly http: number;
  readonly contentType: string;
  readonly body: unknown;
}

const folder = new URL('../fixtures/gemini-payloads/', import.meta.url);

export const recordedReplies: readonly RecordedReply[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')));

/** A reply as sent over the wire, in pieces. */
export interface WireReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly Buffer[];
  /** Whether the connection is cut after the last piece. */
  readonly isCut?: boolean | undefined;
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every string of a reply except the model's answer. */
function* placesOf(value: unknown): Generator<{ readonly holder: Json; readonly name: string }> {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    if (name === 'parts') continue;
    if (typeof item === 'string') yield { holder: value as Json, name };
    else yield* placesOf(item);
  }
}

/** Error details in which Google has been seen to echo its input. */
const details = (text: string): readonly Json[] => [
  {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: text,
    domain: 'googleapis.com',
    metadata: { consumer: `api_key:${text}`, [text]: text, service: 'generativelanguage.googleapis.com' },
  },
  { '@type': 'type.googleapis.com/google.rpc.DebugInfo', stackEntries: [text], detail: text },
  {
    '@type': 'type.googleapis.com/google.rpc.Help',
    links: [{ description: text, url: `https://x/?key=${text}` }],
  },
  { '@type': 'type.googleapis.com/google.rpc.LocalizedMessage', locale: 'en', message: text },
];

/** A copy of a message with the text planted in one of its strings, or in an added error detail. */
function plantInMessage(message: unknown, text: string, place: number): unknown {
  const copy = structuredClone(message);
  if (!isObject(copy)) return copy;
  const plantings = [...placesOf(copy)].flatMap(({ holder, name }) => [
    () => {
      holder[name] = `${holder[name]} ${text}`;
    },
    () => {
      holder[name] = text;
    },
  ]);
  const { error } = copy;
  const candidate = Array.isArray(copy.candidates) ? copy.candidates[0] : undefined;
  if (isObject(error)) {
    plantings.push(() => {
      error.details = [...details(text), ...(Array.isArray(error.details) ? error.details : [])];
    });
  } else {
    plantings.push(() => {
      copy.promptFeedback = { blockReason: `OTHER ${text}`, blockReasonMessage: text };
    });
    if (isObject(candidate)) {
      plantings.push(() => Object.assign(candidate, { finishReason: 'OTHER', finishMessage: text }));
      plantings.push(() => Object.assign(candidate, { finishReason: text, finishMessage: text }));
    }
  }
  plantings[place % plantings.length]?.();
  return copy;
}

function plantInEvents(stream: string, text: string, place: number): string {
  const lines = stream.split('\n');
  const events = lines.flatMap((line, index) => (line.startsWith('data: ') ? [index] : []));
  const chosen = events[place % events.length] ?? 0;
  const line = lines[chosen] ?? '';
  lines[chosen] =
    `data: ${JSON.stringify(plantInMessage(JSON.parse(line.slice('data: '.length)), text, place))}`;
  return lines.join('\n');
}

/** A recorded body with the text planted in one of its strings. */
function plantInBody(body: unknown, text: string, place: number): string {
  if (typeof body !== 'string') return JSON.stringify(plantInMessage(body, text, place), null, 2);
  if (body.startsWith('data: ')) return plantInEvents(body, text, place);
  return body.replace(/<\/code>|<\/title>/g, (tag) => ` ${text}${tag}`);
}

const firstEvent = `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: 'First ' }] }, index: 0 }] })}\r\n\r\n`;
const events = { 'content-type': 'text/event-stream' };
const html = { 'content-type': 'text/html; charset=UTF-8' };
const whole = (body: string) => [Buffer.from(body)];

/** The body in two writes, split in the middle of the text. */
function splitIn(body: string, text: string): readonly Buffer[] {
  const bytes = Buffer.from(body);
  const written = [text, JSON.stringify(text).slice(1, -1)].find((form) => body.includes(form)) ?? text;
  const start = Math.max(0, bytes.indexOf(written));
  const at = start + Math.ceil(written.length / 2);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

type Delivery = (recorded: RecordedReply, text: string, place: number) => WireReply;

const asRecorded: Delivery = ({ http, contentType, body }, text, place) => ({
  status: http,
  headers: { 'content-type': contentType },
  pieces: whole(plantInBody(body, text, place)),
});

const page = (text: string) => `<!DOCTYPE html><title>Error: ${text}</title><h1>502</h1><p>${text}</p>`;
const wordsOf = ({ body }: RecordedReply, text: string, place: number) =>
  isObject(body) && isObject(body.error)
    ? plantInMessage(body, text, place)
    : { error: { code: 503, message: text, status: 'UNAVAILABLE' } };

/** Ways in which a reply that contains a key can arrive. */
export const deliveries: Readonly<Record<string, Delivery>> = {
  'as recorded': asRecorded,
  'cut inside the key': (recorded, text, place) => {
    const [body] = asRecorded(recorded, text, place).pieces;
    return { ...asRecorded(recorded, text, place), pieces: splitIn(String(body), text) };
  },
  'ending inside the key': (recorded, text, place) => {
    const [body] = asRecorded(recorded, text, place).pieces;
    return { ...asRecorded(recorded, text, place), pieces: splitIn(String(body), text).slice(0, 1) };
  },
  'broken off inside the key': (recorded, text, place) => {
    const [body] = asRecorded(recorded, text, place).pieces;
    return {
      ...asRecorded(recorded, text, place),
      pieces: splitIn(String(body), text).slice(0, 1),
      isCut: true,
    };
  },
  'a page of a proxy': (recorded, text) => ({
    status: recorded.http < 400 ? 502 : recorded.http,
    headers: html,
    pieces: splitIn(page(text), text),
  }),
  'a page instead of an answer': (_recorded, text) => ({
    status: 200,
    headers: html,
    pieces: whole(page(text)),
  }),
  'words instead of JSON': (recorded, text) => ({
    status: recorded.http,
    headers: { 'content-type': 'application/json' },
    pieces: whole(`{"error": {"message": ${text}}}`),
  }),
  'a redirection': (_recorded, text) => ({
    status: 307,
    headers: {
      location: `https://example.com/?key=${encodeURIComponent(text)}`,
      'content-type': 'text/plain',
    },
    pieces: whole(text),
  }),
  'headers of a reply': (recorded, text, place) => ({
    ...asRecorded(recorded, text, place),
    headers: {
      'content-type': recorded.contentType,
      'retry-after': text.replaceAll(/[\r\n]+/g, ' '),
      'www-authenticate': `Bearer realm="${text.replaceAll(/[\r\n]+/g, ' ')}"`,
    },
  }),
  'event: error after a piece': (recorded, text, place) => ({
    status: 200,
    headers: events,
    pieces: splitIn(
      `${firstEvent}event: error\ndata: ${JSON.stringify(wordsOf(recorded, text, place))}\n\n`,
      text,
    ),
  }),
  'event: error in words': (_recorded, text) => ({
    status: 200,
    headers: events,
    pieces: whole(`event: error\ndata: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`),
  }),
  'an error after a piece': (recorded, text, place) => ({
    status: 200,
    headers: events,
    pieces: splitIn(`${firstEvent}${JSON.stringify(wordsOf(recorded, text, place), null, 2)}\n`, text),
  }),
  'an event that is no JSON': (_recorded, text) => ({
    status: 200,
    headers: events,
    pieces: whole(`${firstEvent}data: {"error": {"message": ${text.replaceAll(/[\r\n]+/g, ' ')}}}\n\n`),
  }),
  'an event in two lines': (_recorded, text) => ({
    status: 200,
    headers: events,
    pieces: whole(`data: {"error": {"message": "${text.slice(0, -6)}\ndata: ${text.slice(-6)}"}}\n\n`),
  }),
};
