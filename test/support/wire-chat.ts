import {
  type ChatRequest,
  type ChatStreamEvent,
  MultimodalChat,
  type MultimodalChatOptions,
  type Reply,
} from 'multimodal-chat';
import {
  type RawReply,
  type RawServer,
  type ReceivedRequest,
  sendReply,
  startRawServer,
} from './raw-replies.js';

/** What a user sees of one question, and what it cost. */
export interface Seen {
  readonly events: readonly ChatStreamEvent[];
  /** What stands on the screen in the end. */
  readonly text: string;
  readonly restarts: number;
  readonly reply: Reply | undefined;
  readonly error: unknown;
  /** The models of the calls that were made, in order. */
  readonly models: readonly string[];
  /** Those calls as they came. */
  readonly requests: readonly ReceivedRequest[];
}

export interface WireChat extends AsyncDisposable {
  readonly chat: MultimodalChat;
  readonly server: RawServer;
  ask(prompt?: string, request?: Omit<ChatRequest, 'prompt'>): Promise<Seen>;
}

export const mainModel = 'gemini-3.8-flash';
export const fallbackModel = 'gemini-3.5-flash-lite';

const modelOf = (url: string) => /models\/([^:]+):/.exec(url)?.[1] ?? '';

/**
 * A chat with default options but short pauses and no memory, and a server on a real socket.
 *
 * @param answer The reply to a call, by its number from 1, its model, and all that was sent.
 */
export async function openWireChat(
  answer: (call: number, model: string, request: ReceivedRequest) => RawReply,
  options: MultimodalChatOptions = {},
): Promise<WireChat> {
  let calls = 0;
  const server = await startRawServer((response, _, received) => {
    calls += 1;
    return sendReply(response, answer(calls, modelOf(received.url), received));
  });
  const chat = new MultimodalChat({
    keys: [
      { key: 'the-key-of-alpha-0001', project: 'alpha' },
      { key: 'the-key-of-beta-00001', project: 'beta' },
    ],
    model: mainModel,
    baseUrl: server.url,
    memory: false,
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });
  return {
    chat,
    server,
    async ask(prompt = 'Hello?', request = {}) {
      const before = server.requests.length;
      const events: ChatStreamEvent[] = [];
      let error: unknown;
      try {
        for await (const event of chat.stream({ sessionId: 's', prompt, ...request })) events.push(event);
      } catch (thrown) {
        error = thrown;
      }
      const shown = events.slice(events.map(({ type }) => type).lastIndexOf('restart') + 1);
      const last = events.at(-1);
      const requests = server.requests.slice(before);
      return {
        events,
        text: shown.map((event) => (event.type === 'text' ? event.text : '')).join(''),
        restarts: events.filter(({ type }) => type === 'restart').length,
        reply: last?.type === 'done' ? last.reply : undefined,
        error,
        models: requests.map(({ url }) => modelOf(url)),
        requests,
      };
    },
    async [Symbol.asyncDispose]() {
      await chat.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
