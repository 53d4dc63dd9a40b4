export type { ChatRouter } from './http/chat-router.js';
export { chatRouter } from './http/chat-router.js';
export type {
  Connection,
  HandlerOptions,
  Identity,
  IncomingQuestion,
  PreparedQuestion,
  Refusal,
  RouterOptions,
} from './http/handler-options.js';
export type { NodeRequest } from './http/node-messages.js';
export type { ServedChat } from './http/served-chat.js';
