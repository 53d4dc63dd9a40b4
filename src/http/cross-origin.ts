import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

const exposedHeaders = 'X-Session-Id, X-Turn-Id, X-Notice, Retry-After';
const preflightSeconds = 600;

/** Lets the pages of some origins use the service, and no others. */
export class CrossOriginPolicy {
  readonly #allowed: ReadonlySet<string>;

  constructor(allowedOrigins: readonly string[]) {
    this.#allowed = new Set(allowedOrigins);
  }

  /** Headers that let the page behind the request read the reply. */
  headers(request: HttpRequest): Record<string, string> {
    // Caches must not hand one origin's reply to another.
    const vary: Record<string, string> = this.#allowed.size === 0 ? {} : { vary: 'Origin' };
    const origin = request.headers.get('origin');
    if (origin === null || !this.#allows(origin)) return vary;
    return {
      ...vary,
      'access-control-allow-origin': origin,
      'access-control-expose-headers': exposedHeaders,
    };
  }

  /** What answers a browser that asks whether it may send a request. */
  preflightHeaders(request: HttpRequest, methods: readonly string[]): Record<string, string> {
    const origin = request.headers.get('origin');
    const asked = request.headers.get('access-control-request-method');
    if (origin === null || asked === null || !this.#allows(origin)) return {};
    return {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': 'Authorization, Content-Type, Accept',
      'access-control-max-age': String(preflightSeconds),
    };
  }

  /**
   * Browsers send simple forms across sites without asking first, so a stranger's page could spend the
   * quota unseen.
   *
   * @throws HttpError 403 when such a page is behind the request.
   */
  refuseForeignForms(request: HttpRequest): void {
    if (request.headers.get('sec-fetch-site') !== 'cross-site') return;
    const origin = request.headers.get('origin');
    if (origin !== null && this.#allows(origin)) return;
    throw new HttpError(
      403,
      'FOREIGN_ORIGIN',
      'Pages of other sites may not ask here. Add their origin to the allowed origins to permit it.',
    );
  }

  #allows(origin: string): boolean {
    return this.#allowed.has('*') || this.#allowed.has(origin);
  }
}
