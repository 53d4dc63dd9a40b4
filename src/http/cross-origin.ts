import { isIP } from 'node:net';
import type { ResolvedHandlerOptions } from './handler-options.js';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

const exposedHeaders = 'X-Session-Id, X-Turn-Id, X-Finish-Reason, X-Files, X-Notice, Retry-After';
const preflightSeconds = 600;

/** Decides which web pages may use the service, and under which names it can be reached. */
export class CrossOriginPolicy {
  readonly #origins: ReadonlySet<string>;
  /** Undefined if every name is allowed. */
  readonly #hosts: ReadonlySet<string> | undefined;

  constructor({ allowedHosts, allowedOrigins, apiToken, authorize }: ResolvedHandlerOptions) {
    this.#origins = new Set(allowedOrigins);
    const isGuarded = apiToken !== undefined || authorize !== undefined;
    const isAnyHost = allowedHosts?.includes('*') || (allowedHosts === undefined && isGuarded);
    this.#hosts = isAnyHost ? undefined : new Set(allowedHosts);
  }

  /** Headers that allow the requesting page to read the reply. */
  headers(request: HttpRequest): Record<string, string> {
    // Caches must not serve one origin's reply to another.
    const vary: Record<string, string> = this.#origins.size === 0 ? {} : { vary: 'Origin' };
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
   * A page can point its own name at this machine (DNS rebinding) and is then same-origin. Without
   * credentials only the `Host` header gives it away.
   *
   * @throws HttpError 403 if the service is not to be reached under this name.
   */
  refuseForeignHost(request: HttpRequest): void {
    if (this.#hosts === undefined) return;
    const name = hostnameOf(request.headers.get('host') ?? new URL(request.url).host);
    if (name !== undefined && (isLocal(name) || this.#hosts.has(name))) return;
    throw new HttpError(
      403,
      'FOREIGN_HOST',
      'The service does not answer under this host name. Add the name to the option `allowedHosts` (ALLOWED_HOSTS of the example server), or set an API token.',
    );
  }

  /**
   * Browsers send forms, and reads of which only the reply is hidden, across origins without asking. Clients
   * that are no browser send none of these headers and pass.
   *
   * @throws HttpError 403 if the request comes from a page of another origin that is not allowed.
   */
  refuseForeignPage(request: HttpRequest): void {
    const origin = request.headers.get('origin');
    if (this.#origins.has('*') || (origin !== null && this.#origins.has(origin))) return;
    const site = request.headers.get('sec-fetch-site');
    // Browsers send this header to https and loopback only. `none` is the address bar.
    if (site === 'same-origin' || site === 'none') return;
    if (site === null && (origin === null || isOwn(origin, request))) return;
    throw new HttpError(
      403,
      'FOREIGN_ORIGIN',
      'Pages of other origins may not use this service. Add their origin to the option `allowedOrigins` (ALLOWED_ORIGINS of the example server) to permit it.',
    );
  }

  #allows(origin: string): boolean {
    return this.#origins.has('*') || this.#origins.has(origin);
  }
}

/** Whether the origin has the host and port of the request. The scheme is unknown behind a proxy with TLS. */
function isOwn(origin: string, request: HttpRequest): boolean {
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return false;
  const { protocol, host } = new URL(origin);
  const own = `${protocol}//${request.headers.get('host') ?? new URL(request.url).host}`;
  return URL.canParse(own) && new URL(own).host === host;
}

function hostnameOf(host: string): string | undefined {
  const url = `http://${host}`;
  if (!/^[\w.:[\]-]+$/.test(host) || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/^\[(.*)\]$|\.$/g, '$1');
}

/** Names that nobody outside can point here: addresses, `localhost`, and names without a dot, as of containers. */
const isLocal = (name: string) => isIP(name) !== 0 || name.endsWith('.localhost') || !name.includes('.');
