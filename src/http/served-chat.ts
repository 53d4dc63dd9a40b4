import type { ChatRequest, ChatStreamEvent, MultimodalChat } from '../index.js';

/** What the HTTP adapters use of a chat. A `MultimodalChat` is one; in tests a plain object will do. */
export interface ServedChat extends Pick<MultimodalChat, 'send' | 'history' | 'forget' | 'stats'> {
  stream(request: ChatRequest): AsyncIterable<ChatStreamEvent>;
}
