import { GoogleGenAI } from '@google/genai';
import { MultimodalChat } from 'multimodal-chat';

export const model = 'gemini-3.8-flash';
export const prompt = 'What are the benefits of renewable energy?';
const apiKey = 'bench-key-0001';

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

export function ours(baseUrl: string, memory: false | string): Contestant {
  const chat = new MultimodalChat(
    memory === false
      ? { keys: [apiKey], baseUrl, memory: false }
      : { keys: [apiKey], baseUrl, dataDir: memory },
  );
  const name = memory === false ? 'chat.stream, memory off' : 'chat.stream, memory on';
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

/** `POST /infer` of a running service; `stream` reads the SSE form, where the first text shows. */
export function inferService(name: string, url: string, stream: boolean): Contestant {
  let session = 0;
  return {
    name,
    async ask(onFirst) {
      const form = new FormData();
      form.set('prompt', prompt);
      form.set('session_id', `bench-${Math.floor(session++ / 10)}`);
      const response = await fetch(`${url}/infer`, {
        method: 'POST',
        body: form,
        headers: { accept: stream ? 'text/event-stream' : 'text/plain' },
      });
      let text = '';
      const decoder = new TextDecoder();
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        const before = text;
        text += decoder.decode(chunk, { stream: true });
        const hasText = (seen: string) => (stream ? seen.includes('event: text') : seen !== '');
        if (!hasText(before) && hasText(text)) onFirst();
      }
      expectAnswer(text, name);
    },
    close: nothingToClose,
  };
}
