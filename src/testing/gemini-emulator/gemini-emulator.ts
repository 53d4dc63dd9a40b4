import { ConfigurationError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
import { isScriptedAnswer, type ScriptedAnswer } from './answer/emulated-answer.js';
import { EmulatedApi } from './emulated-api.js';
import { defaultRefusalMs, type Injection } from './faults/faults.js';
import { type CallCount, type CallFilter, expectCalls } from './journal/expect-calls.js';
import type { RecordedCall } from './journal/recorded-call.js';
import { Listener } from './listener.js';
import {
  type GeminiEmulatorOptions,
  geminiEmulatorOptionsSchema,
  type ResolvedEmulatorOptions,
} from './options.js';

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
 * // ... run the code under test, which must survive two 503s ...
 * emulator.expectCalls({ status: 503 }, 2);
 * await emulator.close();
 * ```
 *
 * @throws ConfigurationError if an option is not valid, or the port or host cannot be used.
 */
export async function startGeminiEmulator(options: GeminiEmulatorOptions = {}): Promise<GeminiEmulator> {
  const emulator = new GeminiEmulator(options);
  await emulator.listen();
  return emulator;
}

/** A running emulator; made by {@link startGeminiEmulator}. */
export class GeminiEmulator {
  readonly #options: ResolvedEmulatorOptions;
  readonly #api: EmulatedApi;
  readonly #listener: Listener;

  /** @internal */
  constructor(options: GeminiEmulatorOptions) {
    this.#options = parseOptions(geminiEmulatorOptionsSchema, options, 'GeminiEmulator');
    this.#api = new EmulatedApi(this.#options, () => this.#listener);
    this.#listener = new Listener(this.#api.serve, this.#options.clock);
  }

  /** Where the server listens, such as `http://127.0.0.1:41234`. */
  get url(): string {
    return this.#listener.url;
  }

  /** The calls received so far, oldest first; empty with `journal: false`. */
  get journal(): readonly RecordedCall[] {
    return this.#api.log.calls;
  }

  /**
   * Asserts how many calls of the journal match the filter, and returns them, oldest first.
   * The end of a call (`status`, `aborted`) is known once it has been answered: see `whenIdle`.
   *
   * @param count The exact number, or `{ min, max }`. Default: at least one.
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
    if (!this.#options.journal)
      throw new ConfigurationError('The emulator keeps no journal. Start it without `journal: false`.');
    return expectCalls(this.journal, filter, count);
  }

  /** Makes the next matching calls go wrong, or gives them a raw reply. Injections apply in their order. */
  inject(injection: Injection): void {
    if (injection.fault === 'refuse') this.#listener.refuse(injection.delayMs ?? defaultRefusalMs);
    else this.#api.faults.add(injection);
  }

  /** Drops injections that have not applied yet. Resolves once connections are accepted again. */
  async clearFaults(): Promise<void> {
    this.#api.faults.clear();
    await this.#listener.accept();
  }

  /**
   * Scripts the next answer. Answers of several calls queue up; a call that goes on from a token takes none.
   *
   * @throws ConfigurationError if it is no answer.
   */
  say(answer: ScriptedAnswer): void {
    if (!isScriptedAnswer(answer))
      throw new ConfigurationError(
        '`say` takes a text, an object with `parts`, or a function that makes one.',
      );
    this.#api.scriptedAnswers.push(answer);
  }

  /** Resolves once the emulator has received `calls` calls since its start. */
  whenReceived(calls: number): Promise<void> {
    return this.#api.log.whenReceived(calls);
  }

  /** Resolves once no call is being answered, so that the journal is complete. */
  whenIdle(): Promise<void> {
    return this.#api.log.whenIdle();
  }

  /** @internal */
  async listen(): Promise<void> {
    const { port, host } = this.#options;
    await this.#listener.open(port, host);
  }

  /** Stops listening and cuts open connections. */
  async close(): Promise<void> {
    this.#api.log.cutAll();
    await this.#listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
