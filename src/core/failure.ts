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

/** Who is to blame, and so what to avoid next: this call, the key, (project, model), the project or the model. */
export type FailureScope = 'call' | 'key' | 'project-model' | 'project' | 'model';

/** What went wrong with one call, and whose fault it is. Holds no secret. */
export interface Failure {
  readonly kind: FailureKind;
  readonly scope: FailureScope;
  /** One sentence, scrubbed of key values. */
  readonly message: string;
  /** HTTP status, where there was one. */
  readonly status?: number | undefined;
  /** The machine-readable reason of the reply, such as `API_KEY_INVALID` or `SAFETY`. */
  readonly reason?: string | undefined;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Limits that the reply gave away: requests a minute, input tokens a minute, requests a day. */
  readonly learned?:
    | {
        readonly rpm?: number | undefined;
        readonly tpm?: number | undefined;
        readonly rpd?: number | undefined;
      }
    | undefined;
  /** The project number that the reply named, which tells which keys share a project. */
  readonly project?: string | undefined;
  /** The error behind it, scrubbed of key values. */
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

/** Whether the key pool avoids the failure by itself, with another key or later, so that it costs no retry. */
export function isRoutedByPool({ kind, scope }: Pick<Failure, 'kind' | 'scope'>): boolean {
  return kindsRoutedByPool.has(kind) && scopesRoutedByPool.has(scope);
}

/** One try at getting an answer. */
export interface Attempt {
  readonly model: string;
  /** Masked id of the key, safe to show; absent for a model that needs none. */
  readonly keyId?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Whether it was a second call beside one that was late (option `hedge`). */
  readonly isHedge?: boolean | undefined;
  /** Absent when the attempt succeeded. */
  readonly failure?: Failure | undefined;
}
