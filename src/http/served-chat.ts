import type { ChatRequest, ChatStreamEvent, MultimodalChat } from '../index.js';

/** The members of `MultimodalChat` that the HTTP adapters use; a plain object serves in tests. */
export interface ServedChat extends Pick<MultimodalChat, 'send' | 'history' | 'forget' | 'stats'> {
  stream(request: ChatRequest): AsyncIterable<ChatStreamEvent>;
}
