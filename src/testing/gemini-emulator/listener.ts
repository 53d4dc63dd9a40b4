import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../core/clock.js';
import { ConfigurationError } from '../../core/errors.js';

/** Retry interval if another process took the port while it was closed. */
const retryMs = 100;

/** The port of the emulator: open, closed for a while to refuse connections, or closed for good. */
export class Listener {
  readonly #server: Server;
  readonly #clock: Clock;
  #host = '';
  #port = 0;
  #timer: unknown;
  #refusesUntil: number | undefined;
  #isClosed = false;

  constructor(serve: RequestListener, clock: Clock) {
    this.#clock = clock;
    this.#server = createServer((request, response) => {
      // Open connections are served, but must reconnect for their next call.
      if (this.#refusesUntil !== undefined) response.shouldKeepAlive = false;
      response.once('close', () => {
        if (this.#refusesUntil !== undefined) setImmediate(() => this.#server.closeIdleConnections());
      });
      serve(request, response);
    });
    // Node's default of 5 s races with clients that reuse a connection at just that moment.
    this.#server.keepAliveTimeout = 65_000;
  }

  get url(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  /** @throws ConfigurationError if the port or the host cannot be used. */
  async open(port: number, host: string): Promise<void> {
    this.#host = host;
    this.#port = port;
    try {
      await this.#listen();
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const hint = code === 'EADDRINUSE' ? ' Leave `port` out to get a free one.' : '';
      throw new ConfigurationError(`The emulator cannot listen on ${host}:${port} (${code}).${hint}`, {
        cause,
      });
    }
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Closes the port for `durationMs` of the emulator's clock. Calls that are being answered go on. */
  refuse(durationMs: number): void {
    if (this.#isClosed) return;
    const until = this.#clock.now() + durationMs;
    if (until <= (this.#refusesUntil ?? 0)) return;
    this.#refusesUntil = until;
    if (this.#server.listening) this.#server.close();
    this.#wakeAfter(durationMs);
  }

  /** Ends a refusal early; resolves once connections are accepted. */
  async accept(): Promise<void> {
    if (this.#refusesUntil === undefined || this.#isClosed) return;
    this.#clock.clearTimeout(this.#timer);
    try {
      await this.#listen();
      this.#refusesUntil = undefined;
    } catch {
      // Another process took the port: try again until it is free.
      this.#wakeAfter(retryMs);
    }
  }

  /** Stops listening and cuts open connections. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#clock.clearTimeout(this.#timer);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #wakeAfter(delayMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => void this.accept(), delayMs, { isBackground: true });
  }

  #listen(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }
}
