import type { FailureRule } from './failure-rule.js';
import { all, gateway, status } from './failure-rule.js';

/** The page of a proxy or of a wrong host. */
export const foreignRules: readonly FailureRule[] = [
  {
    when: (facts) =>
      facts.status !== undefined &&
      ((facts.isPage && (facts.status < 300 || status(400, 401, 403, 404, 405)(facts))) ||
        (facts.status >= 300 && facts.status < 400) ||
        (!facts.isApiError && status(404, 405)(facts))),
    kind: 'invalid-request',
    scope: 'call',
    reason: 'NOT_GEMINI',
    message:
      'The server that answered is not a Gemini API: check the base URL (GOOGLE_GEMINI_BASE_URL) and any proxy in between',
  },
];

/** A server in front of Gemini: neither the key nor its project is to blame. */
export const gatewayRules: readonly FailureRule[] = [
  {
    when: all(gateway, status(401, 403, 407)),
    kind: 'permission',
    scope: 'call',
    reason: 'GATEWAY_REFUSED',
    message:
      'A server in front of Gemini refused the call: check `baseUrl`, `headers` and any proxy in between',
  },
  {
    when: all(gateway, status(402)),
    kind: 'billing',
    scope: 'call',
    reason: 'GATEWAY_REFUSED',
    message: 'A server in front of Gemini asks for payment: check the account that `baseUrl` belongs to',
  },
  {
    when: all(gateway, status(429)),
    kind: 'rate-limit',
    scope: 'project-model',
    message: 'A rate limit is reached, of Gemini or of a server in front of it: wait a little',
  },
  {
    when: all(gateway, status(400, 405, 409, 411, 414, 415, 421, 422, 426, 431, 451)),
    kind: 'invalid-request',
    scope: 'call',
    message:
      'A server in front of Gemini did not accept the request: check `baseUrl` and what the server allows',
  },
];
