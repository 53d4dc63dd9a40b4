import type { MultimodalChat } from '../index.js';

/** What the HTTP adapters use of a chat. A `MultimodalChat` is one; in tests a plain object will do. */
export type ServedChat = Pick<MultimodalChat, 'send' | 'stream' | 'history' | 'forget' | 'stats'>;
