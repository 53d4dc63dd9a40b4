import type { Failure } from '../../../core/failure.js';
import { Redactor } from '../../../core/redact.js';
import type { ErrorFacts } from './error-facts.js';
import { googleRules, statusRules } from './failure-rules.js';
import { foreignRules, gatewayRules } from './gateway-rules.js';
import { readErrorFacts } from './read-error-facts.js';
import { classifyThrown } from './thrown-failure.js';

/** The result of one call: a reply (`status`, `body`) or what was thrown (`error`). */
export interface CallEvidence {
  readonly status?: number | undefined;
  /** The reply's body: raw text, or parsed JSON. */
  readonly body?: unknown;
  /** The `Retry-After` header, which only proxies set. */
  readonly retryAfter?: string | null | undefined;
  /** What was thrown instead of a reply. */
  readonly error?: unknown;
  /** Whether the request had been handed to the network. Default `true`. */
  readonly sent?: boolean | undefined;
  /** Whether a successful reply had begun. Default `false`. */
  readonly hasReply?: boolean | undefined;
  /** Removes the key of the call from what is reported. */
  readonly redactor?: Redactor | undefined;
  /** Milliseconds since the epoch, for a dated `Retry-After`. Default: now. */
  readonly nowMs?: number | undefined;
}

/** The first that matches decides. Words are matched only where Google sends no reason code. */
const failureRules = [...foreignRules, ...googleRules, ...gatewayRules, ...statusRules];

const maxQuoteCharacters = 300;

/** The reply's own words, cut at a word. */
function quote(facts: ErrorFacts, redactor: Redactor): string {
  const isStatusOfError = facts.status !== undefined && !(facts.isApiError && facts.status < 400);
  const status = isStatusOfError ? `HTTP ${facts.status}` : '';
  // Before the cut: half a key would not be recognized.
  const firstLine = redactor.text(facts.message).trim().split('\n', 1)[0] ?? '';
  const words =
    firstLine.length > maxQuoteCharacters
      ? `${firstLine.slice(0, maxQuoteCharacters).replace(/\s+\S*$/, '')} …`
      : firstLine;
  const said = [status, words.replace(/\.$/, '')].filter((part) => part !== '').join(': ');
  return said === '' ? '' : ` (${said})`;
}

function learnLimits(facts: ErrorFacts): Failure['learned'] {
  const limits: { rpm?: number; tpm?: number; rpd?: number } = {};
  for (const { limit, perDay, unit } of facts.violations) {
    if (limit === undefined || limit === 0 || unit === 'unknown') continue;
    if (unit === 'requests') limits[perDay ? 'rpd' : 'rpm'] = limit;
    else if (!perDay) limits.tpm = limit;
  }
  return Object.keys(limits).length === 0 ? undefined : limits;
}

/** Kinds whose delay is of use: the reply about a spent day also carries one, of seconds. */
const kindsWithDelay: ReadonlySet<Failure['kind']> = new Set([
  'rate-limit',
  'overloaded',
  'internal',
  'timeout',
]);

/**
 * Classifies what went wrong with a call, and whose fault it is.
 *
 * The rules are in `failure-rules.ts` and `gateway-rules.ts`, the recorded replies behind them in `test/fixtures/gemini-payloads`.
 * A delay is reported as the server sent it, without a margin.
 */
export function classifyFailure(evidence: CallEvidence): Failure {
  const redactor = evidence.redactor ?? new Redactor();
  const { error, hasReply = false, sent = true } = evidence;
  if (error !== undefined) return classifyThrown(error, { sent, hasReply }, redactor);
  // Before anything is cut out of it: half a key would not be recognized.
  const body =
    typeof evidence.body === 'string' ? redactor.fragment(evidence.body) : redactor.value(evidence.body);
  const facts = readErrorFacts({ ...evidence, body, nowMs: evidence.nowMs ?? Date.now() });
  // The last rule always holds.
  const rule = failureRules.find((candidate) => candidate.when(facts)) as (typeof failureRules)[number];
  const reason = rule.reason ?? facts.reason ?? facts.rpcStatus;
  const learned = learnLimits(facts);
  const retryAfterMs = facts.retryAfterMs ?? rule.retryAfterMs;
  return {
    kind: rule.kind,
    scope: rule.scope,
    message: `${rule.message}${quote(facts, redactor)}.`,
    ...(facts.status === undefined ? {} : { status: facts.status }),
    ...(reason === undefined ? {} : { reason: redactor.text(reason) }),
    ...(kindsWithDelay.has(rule.kind) && retryAfterMs !== undefined ? { retryAfterMs } : {}),
    ...(learned === undefined ? {} : { learned }),
    ...(facts.project === undefined ? {} : { project: facts.project }),
  };
}
