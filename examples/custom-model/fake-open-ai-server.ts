import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** What the server does with a call; `answer` is the text to answer with. */
export type Behavior = (response: ServerResponse, answer: string, headers: IncomingHttpHeaders) => void;

interface RecordedRequest {
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it at will.
  readonly body: any;
}

const send = (response: ServerResponse, ...chunks: readonly object[]) => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
};
const sendText = (response: ServerResponse, text: string) =>
  send(response, ...text.split(/(?<= )/).map((content) => ({ choices: [{ delta: { content } }] })));
const end = (response: ServerResponse, finishReason?: string) => {
  if (finishReason) send(response, { choices: [{ delta: {}, finish_reason: finishReason }] });
  send(response, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 } });
  response.end('data: [DONE]\n\n');
};

export const answers: Behavior = (response, answer) => {
  sendText(response, answer);
  end(response, 'stop');
};
export const thinks: Behavior = (response, answer, headers) => {
  send(response, { choices: [{ delta: { reasoning_content: 'Let me count.' } }] });
  answers(response, answer, headers);
};
/** Calls functions, in pieces as OpenAI streams them: of several calls, one after the other. */
export const calls =
  (...each: readonly { readonly name: string; readonly input: string }[]): Behavior =>
  (response) => {
    for (const [index, { input, name }] of each.entries()) {
      const half = Math.ceil(input.length / 2);
      const pieces = [
        { index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } },
        { index, function: { arguments: input.slice(0, half) } },
        { index, function: { arguments: input.slice(half) } },
      ];
      for (const piece of pieces) send(response, { choices: [{ delta: { tool_calls: [piece] } }] });
    }
    end(response, 'tool_calls');
  };
export const stopsFor =
  (reason: string): Behavior =>
  (response, answer) => {
    sendText(response, answer);
    end(response, reason);
  };
export const endsWithoutFinish: Behavior = (response, answer) => {
  sendText(response, answer);
  end(response);
};
export const hangs: Behavior = (response, answer) => sendText(response, answer);
export const breaksOff: Behavior = (response, answer) => {
  sendText(response, answer);
  setImmediate(() => response.destroy());
};
export const refuses =
  (status: number, error: object = {}, headers: Record<string, string> = {}): Behavior =>
  (response, _, { authorization }) => {
    const message = `Refused for ${authorization}`;
    response.writeHead(status, headers).end(JSON.stringify({ error: { message, ...error } }));
  };

/** A local server that streams chat completions as OpenAI does, and records what it is sent. */
export async function startFakeOpenAiServer() {
  const requests: RecordedRequest[] = [];
  const next: Behavior[] = [];
  let answer = 'One two three.';
  let cancelled = 0;
  const server = createServer(async (request, response) => {
    requests.push({ headers: request.headers, body: await json(request) });
    response.on('close', () => {
      if (!response.writableFinished) cancelled += 1;
    });
    (next.shift() ?? answers)(response, answer, request.headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    /** How many connections the callers closed before the end. */
    cancelled: () => cancelled,
    say(text: string) {
      answer = text;
    },
    behave(...behaviors: readonly Behavior[]) {
      next.push(...behaviors);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
