export type { Handler } from './http/handler.js';
export { createHandler } from './http/handler.js';
export type {
  Connection,
  HandlerOptions,
  Identity,
  IncomingQuestion,
  PreparedQuestion,
  Refusal,
} from './http/handler-options.js';
export { nodeListener } from './http/node-listener.js';
export type { NodeRequest } from './http/node-messages.js';
export type { ServedChat } from './http/served-chat.js';
