import { MultimodalChatError } from '../index.js';

/** A request that HTTP itself refuses: a wrong route, method, type, size or credential. */
export class HttpError extends MultimodalChatError {
  override readonly name = 'HttpError' as const;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { headers?: Readonly<Record<string, string>>; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.status = status;
    this.headers = options.headers ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

export const bodyTooLarge = (maxBytes: number) =>
  new HttpError(
    413,
    'BODY_TOO_LARGE',
    `The body is larger than ${maxBytes} bytes. Send files as multipart/form-data instead.`,
  );
