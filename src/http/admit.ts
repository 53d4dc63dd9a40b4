import { createHash, timingSafeEqual } from 'node:crypto';
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import { ConfigurationError } from '../index.js';
import { clientKey } from './client-key.js';
import type { Connection, Identity, ResolvedHandlerOptions } from './handler-options.js';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

/** Identity of all requests without an `authorize` hook. */
const defaultIdentity: Identity = { tenant: 'default' };

const challenge = { 'www-authenticate': 'Bearer' };
const signInFirst = 'You are not signed in. Sign in first.';

/** Wrong credentials per minute and client, after which even the right ones are refused. */
const maxGuesses = 10;

/** Identifies callers, and slows down those that guess. */
export class Admission {
  readonly #options: ResolvedHandlerOptions;
  readonly #guesses = new ClientRateLimit(maxGuesses, 'Too many wrong credentials came from your address.');

  constructor(options: ResolvedHandlerOptions) {
    this.#options = options;
  }

  /** @throws HttpError 401, 403 or 429 if the request is refused. */
  async identify(request: HttpRequest, connection: Connection): Promise<Identity> {
    const { apiToken, authorize } = this.#options;
    if (apiToken === undefined && authorize === undefined) return defaultIdentity;
    const isGuess = request.headers.get('authorization') !== null;
    const client = isGuess ? clientOf(request, connection, this.#options) : undefined;
    // A limit for all clients of unknown address would let one of them lock out the others.
    if (client === undefined) return this.#verify(request);
    await this.#guesses.check(client);
    try {
      return await this.#verify(request);
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) await this.#guesses.count(client);
      throw error;
    }
  }

  async #verify(request: HttpRequest): Promise<Identity> {
    const { apiToken, authorize } = this.#options;
    if (apiToken !== undefined) requireToken(request, apiToken);
    return authorize === undefined ? defaultIdentity : readVerdict(await authorize(request.toRequest()));
  }
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

/** Any answer of the hook but a proper identity refuses. */
function readVerdict(verdict: unknown): Identity {
  if (!verdict) throw unauthorized(signInFirst);
  const { tenant, status, message } = verdict as Record<string, unknown>;
  const sentence = typeof message === 'string' && message !== '' ? message : undefined;
  if (status === 401) throw unauthorized(sentence ?? signInFirst);
  if (status === 403) throw new HttpError(403, 'FORBIDDEN', sentence ?? 'This is not allowed.');
  if (status === undefined && typeof tenant === 'string' && tenant.trim() !== '') return { tenant };
  throw new ConfigurationError(
    'The `authorize` hook must return { tenant } with a name, { status: 401 or 403, message? }, or undefined. Nobody is let in otherwise.',
  );
}

const unauthorized = (message: string) => new HttpError(401, 'UNAUTHORIZED', message, { headers: challenge });

/** Limits what each client may do in a minute. */
export class ClientRateLimit {
  readonly #perMinute: number;
  readonly #sentence: string;
  #limiter: Promise<RateLimiterMemory> | undefined;

  constructor(perMinute: number, sentence: string) {
    this.#perMinute = perMinute;
    this.#sentence = sentence;
  }

  /** @throws HttpError 429 if the client is over the limit with this one. */
  async count(client: string): Promise<void> {
    const limiter = await this.#load();
    // The limiter refuses by rejecting with the state of the client's window.
    await limiter.consume(client).catch(({ msBeforeNext }: { msBeforeNext: number }) => {
      throw this.#refusal(msBeforeNext);
    });
  }

  /** @throws HttpError 429 if the client has used up the limit. */
  async check(client: string): Promise<void> {
    const state = await (await this.#load()).get(client);
    if (state !== null && state.consumedPoints >= this.#perMinute) throw this.#refusal(state.msBeforeNext);
  }

  #load(): Promise<RateLimiterMemory> {
    this.#limiter ??= import('rate-limiter-flexible').then(
      ({ RateLimiterMemory }) => new RateLimiterMemory({ points: this.#perMinute, duration: 60 }),
    );
    return this.#limiter;
  }

  #refusal(retryAfterMs: number): HttpError {
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
    const message = `${this.#sentence} Try again in ${seconds} s.`;
    return new HttpError(429, 'TOO_MANY_REQUESTS', message, { retryAfterMs });
  }
}

/** Identifies the client for a limit; undefined if its address is not known. */
export function clientOf(
  request: HttpRequest,
  connection: Connection,
  { clientAddress }: ResolvedHandlerOptions,
): string | undefined {
  if (clientAddress === undefined) return clientKey(connection.address);
  const given = clientAddress(request.toRequest(), connection);
  // An app may name its clients by anything, for example by account.
  return clientKey(given) ?? given;
}
