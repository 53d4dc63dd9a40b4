import type { FailureKind, MediaErrorReason } from '../index.js';
import {
  BlockedError,
  ClosedError,
  ConfigurationError,
  IncompleteReplyError,
  InvalidInputError,
  KeyPoolExhaustedError,
  MediaError,
  MemoryError,
  ModelCallError,
  OutputError,
  TimeoutError,
} from '../index.js';
import { HttpError } from './http-error.js';

/** An error as the client gets it. */
export interface DescribedError {
  readonly status: number;
  readonly code: string;
  /** One sentence. */
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const statusOfMedia: Readonly<Record<MediaErrorReason, number>> = {
  unsupported: 415,
  corrupt: 400,
  empty: 400,
  'too-large': 413,
  'not-found': 400,
  'not-allowed': 400,
  timeout: 504,
  unavailable: 503,
};

const statusOfFailure: Readonly<Record<FailureKind, number>> = {
  'rate-limit': 503,
  'daily-quota': 503,
  overloaded: 503,
  timeout: 504,
  'invalid-request': 400,
  'too-large': 413,
  blocked: 422,
  'no-quota': 502,
  auth: 502,
  permission: 502,
  'model-unavailable': 502,
  internal: 502,
  network: 502,
  incomplete: 502,
  billing: 502,
};

/** The one place that maps errors to statuses. Unknown errors become a 500 that reveals nothing internal. */
export function describeError(error: unknown): DescribedError {
  if (error instanceof HttpError) return error;
  if (InvalidInputError.isInstance(error)) return describe(400, error);
  if (MediaError.isInstance(error)) return describe(statusOfMedia[error.reason], error);
  if (BlockedError.isInstance(error)) return describe(422, error);
  if (KeyPoolExhaustedError.isInstance(error)) return describe(503, error, error.retryAfterMs);
  if (ModelCallError.isInstance(error)) {
    return describe(statusOfFailure[error.failure.kind], error, error.failure.retryAfterMs);
  }
  if (IncompleteReplyError.isInstance(error) || OutputError.isInstance(error)) return describe(502, error);
  if (TimeoutError.isInstance(error)) return describe(504, error);
  // The messages of the following errors are for the operator: they name parts, paths and addresses.
  if (ClosedError.isInstance(error)) {
    const message = 'The service has been shut down and takes no more questions.';
    return { status: 503, code: error.code, message };
  }
  if (MemoryError.isInstance(error)) {
    const message = 'The memory of the conversation cannot be reached. Try again in a moment.';
    return { status: 503, code: error.code, message };
  }
  if (ConfigurationError.isInstance(error)) {
    return {
      status: 500,
      code: error.code,
      message: 'The service is not set up correctly; its log says what is wrong.',
    };
  }
  return {
    status: 500,
    code: 'INTERNAL',
    message: 'Something went wrong in the service; its log says what.',
  };
}

function describe(
  status: number,
  error: { readonly code: string; readonly message: string },
  retryAfterMs?: number,
): DescribedError {
  return { status, code: error.code, message: error.message, retryAfterMs };
}
