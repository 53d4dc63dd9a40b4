import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request as post } from 'node:http';
import { GoogleGenAI } from '@google/genai';
import { MultimodalChat, tool } from 'multimodal-chat';

export const model = 'gemini-3.8-flash';
export const prompt = 'What are the benefits of renewable energy?';
const apiKey = 'bench-key-0001';
const boundary = 'bench-form-boundary';

/** One way to get a streamed answer; calls `onFirst` at the first visible text. */
export interface Contestant {
  readonly name: string;
  ask(onFirst: () => void): Promise<void>;
  close(): Promise<void>;
}

const nothingToClose = async () => undefined;

function expectAnswer(text: string, name: string): void {
  if (!text.includes('renewable')) throw new Error(`${name} returned no answer: ${JSON.stringify(text)}`);
}

export function rawClient(baseUrl: string): Contestant {
  const client = new GoogleGenAI({ apiKey, vertexai: false, httpOptions: { baseUrl } });
  return {
    name: '@google/genai',
    async ask(onFirst) {
      let text = '';
      for await (const chunk of await client.models.generateContentStream({ model, contents: prompt })) {
        if (text === '' && chunk.text) onFirst();
        text += chunk.text ?? '';
      }
      expectAnswer(text, '@google/genai');
    },
    close: nothingToClose,
  };
}

/** Only what is used of the AI SDK, which is installed for benchmarks alone. */
interface AiSdk {
  streamText(options: object): { readonly textStream: AsyncIterable<string> };
}
interface GoogleProvider {
  createGoogleGenerativeAI(options: object): (model: string) => object;
}

export async function aiSdk(baseUrl: string): Promise<Contestant> {
  const [core, provider] = ['ai', '@ai-sdk/google'];
  const { streamText } = (await import(core as string)) as AiSdk;
  const { createGoogleGenerativeAI } = (await import(provider as string)) as GoogleProvider;
  const google = createGoogleGenerativeAI({ apiKey, baseURL: `${baseUrl}/v1beta` });
  return {
    name: 'ai + @ai-sdk/google',
    async ask(onFirst) {
      let text = '';
      for await (const piece of streamText({ model: google(model), prompt }).textStream) {
        if (text === '' && piece) onFirst();
        text += piece;
      }
      expectAnswer(text, 'ai');
    },
    close: nothingToClose,
  };
}

/** Declared, and never called. */
const weather = tool({
  name: 'weather',
  description: 'Tells the weather in a city.',
  input: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  execute: () => 'sun',
});

export function ours(baseUrl: string, memory: false | string, hasTools = false): Contestant {
  const tools = hasTools ? [weather] : [];
  const chat = new MultimodalChat(
    memory === false
      ? { keys: [apiKey], baseUrl, tools, memory: false }
      : { keys: [apiKey], baseUrl, tools, dataDir: memory },
  );
  const name = `chat.stream, memory ${memory === false ? 'off' : 'on'}${hasTools ? ', a tool declared' : ''}`;
  let session = 0;
  return {
    name,
    async ask(onFirst) {
      let text = '';
      // A session of ten turns, then a new one: a conversation as people have it.
      const sessionId = `bench-${Math.floor(session++ / 10)}`;
      for await (const part of chat.stream({ sessionId, prompt })) {
        if (part.type !== 'text') continue;
        if (text === '') onFirst();
        text += part.text;
      }
      expectAnswer(text, name);
    },
    close: () => chat.close(),
  };
}

/** A form as a browser or curl sends it, made by hand so that the client costs next to nothing. */
function multipart(fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return Buffer.from(`${parts.join('')}--${boundary}--\r\n`);
}

/** `POST /infer` of a running service; `stream` reads the SSE form, where the first text shows. */
export function inferService(name: string, url: string, stream: boolean): Contestant {
  const agent = new Agent({ keepAlive: true });
  const { hostname, port } = new URL(url);
  const firstText = stream ? 'event: text' : '';
  let session = 0;
  return {
    name,
    async ask(onFirst) {
      const body = multipart({ prompt, session_id: `bench-${Math.floor(session++ / 10)}` });
      const request = post({
        agent,
        hostname,
        port,
        method: 'POST',
        path: '/infer',
        headers: {
          accept: stream ? 'text/event-stream' : 'text/plain',
          'content-type': `multipart/form-data; boundary=${boundary}`,
          'content-length': body.byteLength,
        },
      });
      request.end(body);
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.setEncoding('utf8');
      let text = '';
      let hasText = false;
      for await (const chunk of response as AsyncIterable<string>) {
        text += chunk;
        if (hasText || !text.includes(firstText)) continue;
        hasText = true;
        onFirst();
      }
      expectAnswer(text, name);
    },
    close: async () => agent.destroy(),
  };
}
