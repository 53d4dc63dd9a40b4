/** One quota that was exceeded, as `google.rpc.QuotaFailure` or the sentence names it. */
export interface QuotaViolation {
  /** Its id and metric, such as `GenerateRequestsPerMinutePerProjectPerModel-FreeTier`. */
  readonly name: string;
  readonly perDay: boolean;
  readonly unit: 'requests' | 'tokens' | 'unknown';
  /** The limit itself: Gemini sends the quota's value, not how much of it was used. */
  readonly limit?: number | undefined;
}

/** The content of an error reply, whatever its shape. */
export interface ErrorFacts {
  readonly status: number | undefined;
  /** Whether the reply was JSON with an `error`, as Google and many gateways send. */
  readonly isApiError: boolean;
  /** Whether the error is Google's own, and not that of a server in front of Gemini. */
  readonly isGoogle: boolean;
  /** Whether the reply was not JSON, such as a proxy's error page. */
  readonly isPage: boolean;
  /** What the reply says in words, whoever sent it. */
  readonly message: string;
  /** `google.rpc.Status`, such as `PERMISSION_DENIED`. */
  readonly rpcStatus: string | undefined;
  /** `google.rpc.ErrorInfo.reason`, such as `API_KEY_INVALID`. */
  readonly reason: string | undefined;
  /** Number of the project that the key belongs to. */
  readonly project: string | undefined;
  readonly violations: readonly QuotaViolation[];
  readonly retryAfterMs: number | undefined;
}
