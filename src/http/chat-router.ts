import type { ServerResponse } from 'node:http';
import { parseOptions } from '../core/parse-options.js';
import { createHandler, isServed } from './handler.js';
import { type RouterOptions, routerOptionsSchema } from './handler-options.js';
import { nodeListener } from './node-listener.js';
import type { NodeRequest } from './node-messages.js';
import type { ServedChat } from './served-chat.js';

/** Middleware, as Express 4 and 5 take it. */
export type ChatRouter = (
  request: NodeRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Serves a chat from an Express app, under any prefix. Mount it before body parsers, so that uploads are
 * streamed; JSON bodies that were parsed before are accepted too.
 *
 * @throws ConfigurationError if an option is not valid or unknown.
 *
 * @example
 * ```ts
 * const app = express();
 * app.use('/api', chatRouter(new MultimodalChat()));
 * app.listen(9000);
 * ```
 */
export function chatRouter(chat: ServedChat, options: RouterOptions = {}): ChatRouter {
  const { fallthrough, ...handlerOptions } = parseOptions(routerOptionsSchema, options, 'chatRouter');
  const listen = nodeListener(createHandler(chat, handlerOptions));
  return (request, response, next) => {
    const [path = '/'] = (request.url ?? '/').split('?', 1);
    if (fallthrough && !isServed(path)) next();
    else listen(request, response).catch(next);
  };
}
