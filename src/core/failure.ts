import type { Usage } from './usage.js';

export type FailureKind =
  | 'rate-limit'
  | 'daily-quota'
  | 'no-quota'
  | 'auth'
  | 'permission'
  | 'model-unavailable'
  | 'overloaded'
  | 'internal'
  | 'timeout'
  | 'network'
  | 'incomplete'
  | 'invalid-request'
  | 'too-large'
  | 'blocked'
  | 'billing';

/** What caused the failure and is to be avoided next: this call, the key, (project, model), the project or the model. */
export type FailureScope = 'call' | 'key' | 'project-model' | 'project' | 'model';

/** What went wrong with one call, and what caused it. Contains no secret. */
export interface Failure {
  readonly kind: FailureKind;
  readonly scope: FailureScope;
  /** One sentence, scrubbed of key values. */
  readonly message: string;
  /** HTTP status, if there was one. */
  readonly status?: number | undefined;
  /** The machine-readable reason of the reply, such as `API_KEY_INVALID` or `SAFETY`. */
  readonly reason?: string | undefined;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Limits that the reply revealed: requests per minute, input tokens per minute, requests per day. */
  readonly learned?:
    | {
        readonly rpm?: number | undefined;
        readonly tpm?: number | undefined;
        readonly rpd?: number | undefined;
      }
    | undefined;
  /** The project number in the reply. Keys with the same number share a project. */
  readonly project?: string | undefined;
  /**
   * How many characters of text and thoughts had come when the reply broke off; absent if it had not begun.
   * Tells a fault that strikes at the same place again from one that passes.
   */
  readonly brokeOffAt?: number | undefined;
  /** Tokens that the failed call cost, as far as the provider said so. */
  readonly usage?: Usage | undefined;
  /** The underlying error, scrubbed of key values. */
  readonly cause?: unknown;
}

const kindsRoutedByPool: ReadonlySet<FailureKind> = new Set([
  'rate-limit',
  'daily-quota',
  'no-quota',
  'auth',
  'permission',
  'billing',
]);
const scopesRoutedByPool: ReadonlySet<FailureScope> = new Set(['key', 'project-model', 'project']);

/** Whether the key pool avoids the failure by itself, with another key or by waiting, so that it costs no retry. */
export function isRoutedByPool({ kind, scope }: Pick<Failure, 'kind' | 'scope'>): boolean {
  return kindsRoutedByPool.has(kind) && scopesRoutedByPool.has(scope);
}

/** Reason of the failure `incomplete` of a model that called a function in a form that nobody can read. */
export const malformedCall = 'MALFORMED_FUNCTION_CALL';

/** Reasons of failures by which nothing listens at the address, or there is no way to it. */
const unreachableReasons: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether the service was not reached at all: no network, a wrong address, a server that is not up. */
export function isUnreachable({ kind, reason }: Pick<Failure, 'kind' | 'reason'>): boolean {
  return kind === 'network' && unreachableReasons.has(reason ?? '');
}

/** One call to a model for an answer. */
export interface Attempt {
  readonly model: string;
  /** Masked id of the key, safe to show; absent for a model that needs none. */
  readonly keyId?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Whether it was a second call, made because the first was late (option `hedge`). */
  readonly isHedge?: boolean | undefined;
  /** Absent when the attempt succeeded. */
  readonly failure?: Failure | undefined;
}
