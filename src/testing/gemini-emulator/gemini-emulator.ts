import { type Clock, systemClock } from '../../core/clock.js';
import { ConfigurationError } from '../../core/errors.js';
import { defaultRefusalMs, type Injection } from './faults.js';
import { type CallCount, type CallFilter, expectCalls } from './journal.js';
import { Listener } from './listener.js';
import type { GeminiEmulatorOptions } from './options.js';
import type { RecordedCall } from './recorded-call.js';
import { type AnswerText, EmulatedService } from './service.js';

/**
 * Starts a local server that speaks Gemini's REST API over a real socket, without a key and without the
 * network. Point a client at its `url` by `GOOGLE_GEMINI_BASE_URL` or `httpOptions.baseUrl`.
 *
 * @example
 * ```ts
 * const emulator = await startGeminiEmulator({
 *   projects: [{ id: 'alpha', keys: ['key-1'], limits: { rpm: 10 } }],
 * });
 * const ai = new GoogleGenAI({ apiKey: 'key-1', httpOptions: { baseUrl: emulator.url } });
 *
 * emulator.say('Bonjour!');
 * emulator.inject({ fault: 'overloaded', times: 2 });
 * // ... run the code under test, which must ride out two 503s ...
 * emulator.expectCalls({ status: 503 }, 2);
 * await emulator.close();
 * ```
 *
 * @throws ConfigurationError when the port or the host cannot be used.
 */
export async function startGeminiEmulator(options: GeminiEmulatorOptions = {}): Promise<GeminiEmulator> {
  const emulator = new GeminiEmulator(options);
  await emulator.listen();
  return emulator;
}

/** A running emulator; made by {@link startGeminiEmulator}. */
export class GeminiEmulator {
  readonly #options: GeminiEmulatorOptions;
  readonly #service: EmulatedService;
  readonly #listener: Listener;

  /** @internal */
  constructor(options: GeminiEmulatorOptions) {
    const clock: Clock = options.clock ?? systemClock;
    this.#options = options;
    this.#service = new EmulatedService(options, clock, () => this.#listener);
    this.#listener = new Listener(this.#service.serve, clock);
  }

  /** Where the server listens, such as `http://127.0.0.1:41234`. */
  get url(): string {
    return this.#listener.url;
  }

  /** The calls received so far, oldest first; empty with `journal: false`. */
  get journal(): readonly RecordedCall[] {
    return this.#service.log.calls;
  }

  /**
   * Asserts how many calls of the journal have all that the filter names, and gives them, oldest first.
   * The end of a call (`status`, `aborted`) is known once it has been answered: see `whenIdle`.
   *
   * @param count exactly so many, or `{ min, max }`. Default: at least one.
   * @throws AssertionError that prints the journal, with keys masked.
   * @throws ConfigurationError with `journal: false`.
   *
   * @example
   * ```ts
   * await emulator.whenIdle();
   * emulator.expectCalls({ keyInUrl: true }, 0);
   * emulator.expectCalls({ project: 'alpha', status: 429 }, { max: 1 });
   * const [call] = emulator.expectCalls({ operation: 'generate', status: 200 }, 1);
   * ```
   */
  expectCalls(filter: CallFilter = {}, count: CallCount = { min: 1 }): readonly RecordedCall[] {
    if (this.#options.journal === false)
      throw new ConfigurationError(
        'There is no journal to look at: start the emulator without `journal: false`.',
      );
    return expectCalls(this.journal, filter, count);
  }

  /** Makes the next matching calls go wrong, or gives them a raw reply. Injections apply in their order. */
  inject(injection: Injection): void {
    if (injection.fault === 'refuse') this.#listener.refuse(injection.delayMs ?? defaultRefusalMs);
    else this.#service.faults.add(injection);
  }

  /** Drops what was injected and has not struck yet. Resolves once connections are accepted again. */
  async clearFaults(): Promise<void> {
    this.#service.faults.clear();
    await this.#listener.accept();
  }

  /** Scripts the text of the next answer; call it again for the one after. */
  say(text: AnswerText): void {
    this.#service.said.push(text);
  }

  /** Resolves once the emulator has received `calls` calls since its start. */
  whenReceived(calls: number): Promise<void> {
    return this.#service.log.whenReceived(calls);
  }

  /** Resolves once no call is being answered, so that the journal is complete. */
  whenIdle(): Promise<void> {
    return this.#service.log.whenIdle();
  }

  /** @internal */
  async listen(): Promise<void> {
    const { port = 0, host = '127.0.0.1' } = this.#options;
    await this.#listener.open(port, host);
  }

  /** Stops listening and cuts what is still open. */
  async close(): Promise<void> {
    this.#service.log.cutAll();
    await this.#listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
