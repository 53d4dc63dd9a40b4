import type { FailureRule } from './failure-rule.js';
import { all, any, google, reason, sentence, status } from './failure-rule.js';

const refused = all(google, status(400, 401, 403));

const keyRules: readonly FailureRule[] = [
  {
    when: any(
      reason(
        'API_KEY_INVALID',
        'API_KEY_EXPIRED',
        'ACCESS_TOKEN_EXPIRED',
        'ACCESS_TOKEN_TYPE_UNSUPPORTED',
        'CREDENTIALS_MISSING',
      ),
      all(refused, sentence(/\bAPI key (?:not valid|not found|expired|is invalid)|valid API key/i)),
      all(google, status(401), (facts) => facts.reason === undefined),
    ),
    kind: 'auth',
    scope: 'key',
    message: 'The API key is not valid: replace it',
  },
  {
    when: all(refused, sentence(/reported as leaked/i)),
    kind: 'auth',
    scope: 'key',
    reason: 'API_KEY_LEAKED',
    message: 'The API key was reported as leaked and is blocked for good: revoke it and make a new one',
  },
  {
    when: (facts) => /^API_KEY_\w+_BLOCKED$/.test(facts.reason ?? ''),
    kind: 'permission',
    scope: 'key',
    message:
      'The restrictions of the API key forbid this call: allow the Generative Language API and this host for it',
  },
];

/** The window of Google's limits on spending: https://ai.google.dev/gemini-api/docs/rate-limits */
const spendWindowMs = 600_000;

const projectRules: readonly FailureRule[] = [
  {
    when: all(
      google,
      status(429),
      (facts) => /\bspend/i.test(`${facts.message} ${facts.violations.map(({ name }) => name).join(' ')}`),
      (facts) => !/month|\bcap\b|credit|billing account/i.test(facts.message),
      (facts) => !facts.violations.some(({ name }) => /PerMinute|PerDay/i.test(name)),
    ),
    kind: 'rate-limit',
    scope: 'project',
    reason: 'SPEND_LIMIT',
    retryAfterMs: spendWindowMs,
    message: "The project's spending limit over ten minutes is reached: wait, or use another project",
  },
  {
    when: any(
      reason('BILLING_DISABLED'),
      all(
        google,
        status(400, 402, 403, 429),
        sentence(
          /enable billing|billing (?:to be|is) (?:en|dis)abled|requires billing|prepayment credits|credits are depleted|spend(?:ing)? (?:cap|limit)|billing account/i,
        ),
      ),
      all(google, status(402)),
    ),
    kind: 'billing',
    scope: 'project',
    message: "The project's billing does not allow the call: check its billing and spending limits",
  },
  {
    when: any(
      reason('CONSUMER_SUSPENDED', 'CONSUMER_INVALID', 'ACCOUNT_STATE_INVALID', 'USER_PROJECT_DENIED'),
      all(refused, sentence(/\bConsumer '.*' has been suspended|has been suspended/i)),
    ),
    kind: 'permission',
    scope: 'project',
    message: "The key's project is suspended or not usable: see its notices in the Google Cloud console",
  },
  {
    when: any(
      reason('SERVICE_DISABLED'),
      all(google, status(403), sentence(/has not been used in project .* or it is disabled/i)),
    ),
    kind: 'permission',
    scope: 'project',
    reason: 'SERVICE_DISABLED',
    message:
      "The Generative Language API is not enabled in the key's project: enable it and wait a few minutes",
  },
];

const requestRules: readonly FailureRule[] = [
  {
    when: all(
      status(403, 404),
      sentence(/access the File \S+ or it may not exist|^File \S+ not (?:found|exist)/i),
    ),
    kind: 'invalid-request',
    scope: 'call',
    reason: 'FILE_NOT_ACCESSIBLE',
    message: 'An uploaded file belongs to another project or has expired (48 hours): upload it again',
  },
  {
    when: all(status(400, 403), sentence(/location is not supported/i)),
    kind: 'permission',
    scope: 'call',
    reason: 'LOCATION_NOT_SUPPORTED',
    message:
      'Gemini is not offered in the region of this server, whatever the key: call it from a supported region',
  },
  {
    when: all(status(400, 403, 404), sentence(/cached ?content|cache content/i)),
    kind: 'invalid-request',
    scope: 'call',
    reason: 'CACHED_CONTENT',
    message: 'The cached content cannot be used: send the request without it',
  },
  {
    when: any(
      status(413),
      all(
        status(400),
        sentence(
          /input token count .*exceeds|payload size exceeds|request (?:is )?too large|exceeds the maximum number of tokens/i,
        ),
      ),
    ),
    kind: 'too-large',
    scope: 'call',
    message:
      'The request is larger than the model accepts: send less text, fewer pictures or a shorter conversation',
  },
  {
    when: all(
      status(400),
      sentence(/Responsible AI practices|prompt (?:was|is) blocked|violates? .*polic(?:y|ies)/i),
    ),
    kind: 'blocked',
    scope: 'call',
    reason: 'PROHIBITED_CONTENT',
    message: 'The prompt was refused by the safety system: put it in other words',
  },
];

const limitRules: readonly FailureRule[] = [
  {
    when: all(status(429), (facts) => facts.violations.some((violation) => violation.limit === 0)),
    kind: 'no-quota',
    scope: 'project-model',
    message: "The key's project has no quota for this model: use another model or a paid project",
  },
  {
    when: all(status(429), (facts) => facts.violations.some((violation) => violation.perDay)),
    kind: 'daily-quota',
    scope: 'project-model',
    message:
      "The project's quota of the day for this model is used up: it comes back at midnight Pacific time",
  },
  {
    when: all(google, status(429)),
    kind: 'rate-limit',
    scope: 'project-model',
    message: "The project's rate limit for this model is reached: wait a little",
  },
];

const modelRules: readonly FailureRule[] = [
  {
    when: any(
      all(
        status(404, 410),
        sentence(
          /\bmodels?\b.*(?:not found|not supported|no longer available|retired|deprecated)|not found.*\bmodels?\//i,
        ),
      ),
      all(status(400, 403), sentence(/\bmodels?\/\S+ is (?:not found|no longer available)/i)),
      status(410),
    ),
    kind: 'model-unavailable',
    scope: 'model',
    message: 'The model does not exist or was retired: choose another (GEMINI_MODEL)',
  },
];

/** What the status alone says. The last rule always holds. */
export const statusRules: readonly FailureRule[] = [
  {
    when: status(403),
    kind: 'permission',
    scope: 'project-model',
    message: "The key's project may not use this model",
  },
  {
    when: status(408),
    kind: 'timeout',
    scope: 'call',
    message: 'Gemini did not get the whole request in time',
  },
  { when: status(499), kind: 'incomplete', scope: 'call', message: 'Gemini cancelled the answer' },
  {
    when: status(503, 529),
    kind: 'overloaded',
    scope: 'model',
    message: 'The model is overloaded: try again or use another model',
  },
  {
    when: status(504),
    kind: 'timeout',
    scope: 'model',
    message: 'The model did not finish in time: send less or try again',
  },
  {
    when: status(501, 505, 508, 510, 511),
    kind: 'invalid-request',
    scope: 'call',
    message: 'The server cannot serve such a request: check `baseUrl`, `apiVersion` and any proxy in between',
  },
  {
    when: (facts) => facts.status !== undefined && facts.status >= 500,
    kind: 'internal',
    scope: 'model',
    message: 'Gemini had an internal error: try again',
  },
  {
    when: (facts) => facts.status !== undefined && facts.status >= 400,
    kind: 'invalid-request',
    scope: 'call',
    message: 'Gemini did not accept the request',
  },
  {
    when: (facts) => facts.isApiError,
    kind: 'incomplete',
    scope: 'call',
    reason: 'ERROR_IN_ANSWER',
    message: 'The answer holds an error without a status: try again, and check any proxy in between',
  },
  {
    when: () => true,
    kind: 'incomplete',
    scope: 'call',
    reason: 'NOT_AN_ANSWER',
    message:
      'The reply holds neither an answer nor an error of Gemini: check the base URL and any proxy in between',
  },
];

/** Errors of Google. */
export const googleRules: readonly FailureRule[] = [
  ...keyRules,
  ...projectRules,
  ...requestRules,
  ...limitRules,
  ...modelRules,
];
