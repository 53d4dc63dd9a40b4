import { type Agent, type IncomingHttpHeaders, type IncomingMessage, request as send } from 'node:http';

export const formats = ['text/plain', 'application/json', 'text/event-stream'] as const;
type Format = (typeof formats)[number];

export interface Question {
  readonly prompt: string;
  readonly sessionId: string;
  readonly format: Format;
}

/** What came back, byte by byte. */
export interface RawReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface AskOptions {
  readonly url: string;
  readonly agent: Agent;
  /** After so long the request is given up, and counts as one that hangs. */
  readonly limitMs: number;
  /** Hangs up as soon as the first byte of the body has come. */
  readonly leavesEarly: boolean;
}

export class HangingError extends Error {
  override readonly name = 'HangingError';
}

const boundary = 'faults-form-boundary';

function bodyOf({ prompt, sessionId, format }: Question): { readonly type: string; readonly bytes: Buffer } {
  if (format === 'application/json') {
    const bytes = Buffer.from(JSON.stringify({ prompt, session_id: sessionId }));
    return { type: 'application/json', bytes };
  }
  const field = (name: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const bytes = Buffer.from(`${field('prompt', prompt)}${field('session_id', sessionId)}--${boundary}--\r\n`);
  return { type: `multipart/form-data; boundary=${boundary}`, bytes };
}

/**
 * One `POST /infer`; `undefined` when it left early. A client of our own and not autocannon, which
 * decodes each packet by itself and so damages the characters between two, and which limits
 * connections and not requests.
 *
 * @throws HangingError when the reply was not complete in time.
 * @throws Error of the connection when the reply broke off.
 */
export function ask(question: Question, options: AskOptions): Promise<RawReply | undefined> {
  const { type, bytes } = bodyOf(question);
  return new Promise((resolve, reject) => {
    const request = send(`${options.url}/infer`, {
      agent: options.agent,
      method: 'POST',
      headers: { accept: question.format, 'content-type': type, 'content-length': bytes.byteLength },
    });
    const timer = setTimeout(() => {
      const message = `Nothing complete after ${options.limitMs} ms.`;
      request.destroy(new HangingError(message));
      reject(new HangingError(message));
    }, options.limitMs);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      act();
    };
    request.on('error', (error) => settle(() => reject(error)));
    request.on('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (!options.leavesEarly) return;
        settle(() => resolve(undefined));
        request.destroy();
      });
      response.on('error', (error) => settle(() => reject(error)));
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        settle(() => resolve({ status, headers, body: Buffer.concat(chunks) }));
      });
    });
    request.end(bytes);
  });
}
