import type { Connection } from './handler-options.js';

/** Reads a body chunk by chunk, as the reader of a Web stream does. */
export interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  /** Gives up the rest; a pending read ends at once. */
  cancel(reason?: unknown): Promise<void>;
}

/** What the service reads of a request, whatever it came in on. */
export interface HttpRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  /** Aborts when the client hangs up. */
  readonly signal: AbortSignal;
  /** Begins to read the body, if there is one; at most once. */
  openBody(): BodyReader | undefined;
  /** The request in its Web-standard form, without its body, for the hooks of the app. */
  toRequest(): Request;
}

/** What the service answers, before it is put into the form of what the request came in on. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
}

/** Answers requests of any origin. Never rejects. */
export type HttpHandler = (asked: HttpRequest, connection: Connection) => Promise<HttpResponse>;

export function fromWebRequest(request: Request): HttpRequest {
  return {
    method: request.method,
    url: request.url,
    headers: request.headers,
    signal: request.signal,
    openBody: () => request.body?.getReader(),
    toRequest: () => request,
  };
}

export function toWebResponse({ status, headers, body }: HttpResponse): Response {
  return new Response(body instanceof Uint8Array ? new Uint8Array(body) : body, { status, headers });
}
