import type { ServerResponse } from 'node:http';
import type { Clock } from '../../../core/clock.js';
import type { RecordedCall } from './recorded-call.js';

/** Keeps the journal and tracks the calls that are being answered. */
export class CallLog {
  readonly calls: RecordedCall[] = [];
  readonly #keepsCalls: boolean;
  readonly #clock: Clock;
  readonly #open = new Set<OpenCall>();
  readonly #waiting = new Set<() => void>();
  #received = 0;

  constructor(clock: Clock, keepsCalls: boolean) {
    this.#clock = clock;
    this.#keepsCalls = keepsCalls;
  }

  /** Adds a call and updates its entry until its connection has closed. */
  enter(call: RecordedCall, response: ServerResponse): OpenCall {
    const open = new OpenCall(response);
    if (this.#keepsCalls) this.calls.push(call);
    this.#open.add(open);
    this.#received++;
    response.once('close', () => {
      call.status = response.headersSent ? response.statusCode : 0;
      call.aborted = !response.writableFinished && !open.wasCut;
      call.endedAt = this.#clock.now();
      this.#open.delete(open);
      if (!response.writableFinished) open.abort(new Error('The client hung up.'));
      this.#notify();
    });
    this.#notify();
    return open;
  }

  whenReceived(calls: number): Promise<void> {
    return this.#when(() => this.#received >= calls);
  }

  whenIdle(): Promise<void> {
    return this.#when(() => this.#open.size === 0);
  }

  /** Cuts the connections of all calls that are being answered. */
  cutAll(): void {
    for (const open of this.#open) open.cut();
  }

  #when(isReached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isReached()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  #notify(): void {
    for (const check of this.#waiting) check();
  }
}

/** The connection of a call that is being answered. */
export class OpenCall {
  readonly #response: ServerResponse;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  wasCut = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** Aborts when the connection ends early. Created on demand, since most calls never wait. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#abortReason) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }

  /** Like `cut`, but the client sees a reset. */
  reset(): void {
    this.wasCut = true;
    this.abort(new Error('The emulator reset the connection.'));
    this.#response.req.socket.resetAndDestroy();
  }

  /** Cuts the connection. The journal does not count this as a client that hung up. */
  cut(): void {
    this.wasCut = true;
    this.abort(new Error('The emulator cut the connection.'));
    this.#response.destroy();
  }
}
