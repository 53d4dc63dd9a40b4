import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

const exposedHeaders = 'X-Session-Id, X-Turn-Id, X-Finish-Reason, X-Files, X-Notice, Retry-After';
const preflightSeconds = 600;

/** Allows the pages of some origins to use the service. */
export class CrossOriginPolicy {
  readonly #allowed: ReadonlySet<string>;

  constructor(allowedOrigins: readonly string[]) {
    this.#allowed = new Set(allowedOrigins);
  }

  /** Headers that allow the requesting page to read the reply. */
  headers(request: HttpRequest): Record<string, string> {
    // Caches must not serve one origin's reply to another.
    const vary: Record<string, string> = this.#allowed.size === 0 ? {} : { vary: 'Origin' };
    const origin = request.headers.get('origin');
    if (origin === null || !this.#allows(origin)) return vary;
    return {
      ...vary,
      'access-control-allow-origin': origin,
      'access-control-expose-headers': exposedHeaders,
    };
  }

  /** Headers of the reply to a preflight request. */
  preflightHeaders(request: HttpRequest, methods: readonly string[]): Record<string, string> {
    const origin = request.headers.get('origin');
    const requestedMethod = request.headers.get('access-control-request-method');
    if (origin === null || requestedMethod === null || !this.#allows(origin)) return {};
    return {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': 'Authorization, Content-Type, Accept',
      'access-control-max-age': String(preflightSeconds),
    };
  }

  /**
   * Browsers send simple forms across sites without a preflight, so any page could spend the quota.
   *
   * @throws HttpError 403 if the request comes from a page of another site that is not allowed.
   */
  refuseForeignForms(request: HttpRequest): void {
    if (request.headers.get('sec-fetch-site') !== 'cross-site') return;
    const origin = request.headers.get('origin');
    if (origin !== null && this.#allows(origin)) return;
    throw new HttpError(
      403,
      'FOREIGN_ORIGIN',
      'Pages of other sites may not use this service. Add their origin to the allowed origins to permit it.',
    );
  }

  #allows(origin: string): boolean {
    return this.#allowed.has('*') || this.#allowed.has(origin);
  }
}
