import { createHash, timingSafeEqual } from 'node:crypto';
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Connection, Identity, ResolvedHandlerOptions } from './handler-options.js';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

/** Identity of all requests without an `authorize` hook. */
const defaultIdentity: Identity = { tenant: 'default' };

const challenge = { 'www-authenticate': 'Bearer' };

/**
 * Identifies the caller.
 *
 * @throws HttpError 401 or 403 if the request is refused.
 */
export async function identify(request: HttpRequest, options: ResolvedHandlerOptions): Promise<Identity> {
  if (options.apiToken !== undefined) requireToken(request, options.apiToken);
  if (options.authorize === undefined) return defaultIdentity;
  const verdict = await options.authorize(request.toRequest());
  if (verdict === undefined) throw unauthorized('You are not signed in. Sign in first.');
  if ('tenant' in verdict) return verdict;
  if (verdict.status === 401) throw unauthorized(verdict.message ?? 'You are not signed in. Sign in first.');
  throw new HttpError(403, 'FORBIDDEN', verdict.message ?? 'This is not allowed.');
}

function requireToken(request: HttpRequest, apiToken: string): void {
  const [, given] = /^Bearer +(\S+) *$/i.exec(request.headers.get('authorization') ?? '') ?? [];
  if (given === undefined) {
    throw unauthorized('A token is needed. Send it as "Authorization: Bearer <token>".');
  }
  if (!timingSafeEqual(digest(given), digest(apiToken))) throw unauthorized('The token is not valid.');
}

/** Digests have equal lengths, as `timingSafeEqual` requires, and keep the token's length secret. */
const digest = (text: string) => createHash('sha256').update(text).digest();

const unauthorized = (message: string) => new HttpError(401, 'UNAUTHORIZED', message, { headers: challenge });

/** Limits the questions per minute of each client. */
export class ClientRateLimit {
  readonly #clientRpm: number | undefined;
  #limiter: Promise<RateLimiterMemory> | undefined;

  constructor(clientRpm: number | undefined) {
    this.#clientRpm = clientRpm;
  }

  /** @throws HttpError 429 if the client is over the limit. */
  async count(client: () => string): Promise<void> {
    if (this.#clientRpm === undefined) return;
    this.#limiter ??= makeLimiter(this.#clientRpm);
    // The limiter refuses by rejecting with the state of the client's window.
    const { msBeforeNext, refused } = await (await this.#limiter).consume(client()).then(
      (state) => ({ msBeforeNext: state.msBeforeNext, refused: false }),
      (state: { msBeforeNext: number }) => ({ msBeforeNext: state.msBeforeNext, refused: true }),
    );
    if (!refused) return;
    const seconds = Math.max(1, Math.ceil(msBeforeNext / 1000));
    throw new HttpError(
      429,
      'TOO_MANY_REQUESTS',
      `More than ${this.#clientRpm} questions in a minute. Try again in ${seconds} s.`,
      { retryAfterMs: msBeforeNext },
    );
  }
}

async function makeLimiter(clientRpm: number): Promise<RateLimiterMemory> {
  const { RateLimiterMemory } = await import('rate-limiter-flexible');
  return new RateLimiterMemory({ points: clientRpm, duration: 60 });
}

/** Identifies the client for the rate limit. Requests of unknown address count as one client. */
export function clientOf(
  request: HttpRequest,
  connection: Connection,
  options: ResolvedHandlerOptions,
): string {
  const { clientAddress } = options;
  const address = clientAddress ? clientAddress(request.toRequest(), connection) : connection.address;
  return address ?? 'unknown';
}
