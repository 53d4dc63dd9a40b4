import type { ChatRequest, ChatStreamEvent, MultimodalChat, Reply, ResumeRequest } from '../index.js';

/**
 * The members of `MultimodalChat` that the HTTP adapters use; a plain object serves in tests. Without `file`
 * no generated file can be fetched later, without `sessions` conversations are not listed, without `resume` no turn goes on.
 */
export interface ServedChat
  extends Pick<MultimodalChat, 'history' | 'forget' | 'stats'>,
    Partial<Pick<MultimodalChat, 'file' | 'sessions'>> {
  send(request: ChatRequest): Promise<Reply>;
  stream(request: ChatRequest): AsyncIterable<ChatStreamEvent>;
  resume?(request: ResumeRequest): AsyncIterable<ChatStreamEvent> & { readonly reply: Promise<Reply> };
}
