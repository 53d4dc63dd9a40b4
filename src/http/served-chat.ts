import type { ChatRequest, ChatStreamEvent, MultimodalChat } from '../index.js';

/**
 * The members of `MultimodalChat` that the HTTP adapters use; a plain object serves in tests. Without `file`
 * no generated file can be fetched later.
 */
export interface ServedChat
  extends Pick<MultimodalChat, 'send' | 'history' | 'forget' | 'stats'>,
    Partial<Pick<MultimodalChat, 'file'>> {
  stream(request: ChatRequest): AsyncIterable<ChatStreamEvent>;
}
