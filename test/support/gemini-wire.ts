import type { GeminiEmulator } from '../../src/testing/gemini-emulator/gemini-emulator.js';
import type {
  WireCandidate,
  WireErrorBody,
  WireGenerateRequest,
  WirePart,
  WireResponse,
} from '../../src/testing/gemini-emulator/wire/messages.js';
import { model as defaultModel } from './emulated-gemini.js';

/** A reply as it came over the socket. */
export interface Received {
  readonly status: number;
  readonly contentType: string | null;
  readonly text: string;
  /** Number of pieces in which the body arrived. */
  readonly pieces: number;
  /** What `fetch` threw, before or in the body. */
  readonly error: unknown;
}

export interface AskOptions {
  readonly model?: string;
  readonly key?: string;
  readonly method?: 'streamGenerateContent?alt=sse' | 'streamGenerateContent' | 'generateContent';
  readonly signal?: AbortSignal;
}

export const promptOf = (text: string): WireGenerateRequest => ({
  contents: [{ role: 'user', parts: [{ text }] }],
});

/** Sends a request by `fetch` alone and reads the reply to its end, or to the fault that ends it. */
export async function ask(
  emulator: GeminiEmulator,
  request: WireGenerateRequest = promptOf('Hello'),
  options: AskOptions = {},
): Promise<Received> {
  const { model = defaultModel, key = 'a-key', method = 'streamGenerateContent?alt=sse', signal } = options;
  const received = { status: 0, contentType: null as string | null, text: '', pieces: 0 };
  try {
    const response = await fetch(`${emulator.url}/v1beta/models/${model}:${method}`, {
      method: 'POST',
      headers: { 'x-goog-api-key': key },
      body: JSON.stringify(request),
      ...(signal && { signal }),
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

/** The data of all events that hold JSON. */
export const chunksOf = ({ text }: Received): WireResponse[] =>
  text
    .split(/\r?\n\r?\n/)
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)));

export const candidatesOf = (received: Received): WireCandidate[] =>
  chunksOf(received).flatMap(({ candidates }) => candidates ?? []);

export const partsOf = (received: Received): WirePart[] =>
  candidatesOf(received).flatMap(({ content }) => content?.parts ?? []);

/** The answer's text, without thoughts. */
export const textOf = (received: Received): string =>
  partsOf(received)
    .map(({ text = '', thought }) => (thought ? '' : text))
    .join('');

export const finishesOf = (received: Received): (string | undefined)[] =>
  candidatesOf(received).map(({ finishReason }) => finishReason);

/** Status and message of an error reply. */
export function errorOf({ status, text }: Received): string {
  const { error } = JSON.parse(text) as WireErrorBody;
  return `${status} ${error.message}`;
}
