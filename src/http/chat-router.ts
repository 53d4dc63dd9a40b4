import type { ServerResponse } from 'node:http';
import { createHandler, isServed } from './handler.js';
import type { HandlerOptions } from './handler-options.js';
import { nodeListener } from './node-listener.js';
import type { NodeRequest } from './node-messages.js';
import type { ServedChat } from './served-chat.js';

/** Settings of `chatRouter`. */
export interface RouterOptions extends Omit<HandlerOptions, 'basePath'> {
  /** Whether paths that are not the chat's go on to the app's other routes; `false` answers them with 404. Default `true`. */
  readonly fallthrough?: boolean | undefined;
}

/** Middleware, as Express 4 and 5 take it. */
export type ChatRouter = (
  request: NodeRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Serves a chat from an Express app, under any prefix. Put it before body parsers where uploads should
 * be streamed; JSON bodies that were parsed before are understood too.
 *
 * @throws ConfigurationError when an option is not valid.
 *
 * @example
 * ```ts
 * const app = express();
 * app.use('/api', chatRouter(new MultimodalChat()));
 * app.listen(9000);
 * ```
 */
export function chatRouter(chat: ServedChat, options: RouterOptions = {}): ChatRouter {
  const { fallthrough = true, ...handlerOptions } = options;
  const listen = nodeListener(createHandler(chat, handlerOptions));
  return (request, response, next) => {
    const [path = '/'] = (request.url ?? '/').split('?', 1);
    if (fallthrough && !isServed(path)) next();
    else listen(request, response).catch(next);
  };
}
