import type { Connection } from './handler-options.js';
import { HttpError } from './http-error.js';

/** Reads a body chunk by chunk, as the reader of a Web stream does. */
export interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  /** Discards the rest; a pending read ends at once. */
  cancel(reason?: unknown): Promise<void>;
}

/** A request, independent of the server that received it. */
export interface HttpRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  /** Aborts when the client hangs up. */
  readonly signal: AbortSignal;
  /**
   * Opens the body, if there is one. To be called at most once.
   *
   * @throws HttpError 500 if something before the handler has read it.
   */
  openBody(): BodyReader | undefined;
  /** The Web-standard form for the hooks of the app, without the body. */
  toRequest(): Request;
}

/** A response, independent of the server that sends it. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
}

/** Answers requests of any server. Never rejects. */
export type HttpHandler = (request: HttpRequest, connection: Connection) => Promise<HttpResponse>;

export function fromWebRequest(request: Request): HttpRequest {
  return {
    method: request.method,
    url: request.url,
    headers: request.headers,
    signal: request.signal,
    openBody: () => {
      if (request.bodyUsed || request.body?.locked) throw bodyAlreadyRead();
      return request.body?.getReader();
    },
    toRequest: () => request,
  };
}

/** The app's mistake, told where its developer looks first. */
export const bodyAlreadyRead = () =>
  new HttpError(
    500,
    'BODY_ALREADY_READ',
    'The body was read before it reached multimodal-chat, by a body parser, an upload middleware such as multer, or the framework. Mount the chat before them; JSON that was parsed is taken from `request.body`.',
  );

export function toWebResponse({ status, headers, body }: HttpResponse): Response {
  return new Response(body instanceof Uint8Array ? new Uint8Array(body) : body, { status, headers });
}
