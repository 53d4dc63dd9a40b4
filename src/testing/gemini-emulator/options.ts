import type { Clock } from '../../core/clock.js';
import type { FaultRates } from './faults.js';
import type { QuotaWindow } from './quota-window.js';
import type { RecordedCall } from './recorded-call.js';

/** What a project may spend on one model. What is absent is not limited. */
export interface EmulatedLimits {
  /** Requests a minute. */
  readonly rpm?: number | undefined;
  /** Input tokens a minute. */
  readonly tpm?: number | undefined;
  /** Requests a day; the day ends at midnight in Los Angeles. */
  readonly rpd?: number | undefined;
}

export interface EmulatedProject {
  readonly id: string;
  readonly keys: readonly string[];
  /** For every model alike, or by model name. A model without an entry is not limited. */
  readonly limits?: EmulatedLimits | Readonly<Record<string, EmulatedLimits>> | undefined;
  /** Decides the names of the quotas in a 429. Default `free`. */
  readonly tier?: 'free' | 'paid' | undefined;
}

export interface GeminiEmulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number | undefined;
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Default: every key is accepted, and each is a project of its own without limits. */
  readonly projects?: readonly EmulatedProject[] | undefined;
  /** How the quotas per minute are counted. Default `sliding`. */
  readonly window?: QuotaWindow | undefined;
  /** The known models; any other is answered 404. Default: the models that Gemini serves in November 2026. */
  readonly models?: readonly string[] | undefined;
  /** Tells the time of quotas, delays and file processing. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Default 0. */
  readonly firstChunkDelayMs?: number | undefined;
  /** Between two chunks of a stream. Default 0. */
  readonly chunkDelayMs?: number | undefined;
  /** Into how many pieces a streamed answer is cut, words permitting. Default 4. */
  readonly chunks?: number | undefined;
  /** How long an uploaded video stays `PROCESSING`. Default 0. */
  readonly fileProcessingMs?: number | undefined;
  /** Larger requests are answered 400 as Gemini does. Default 100 MiB. */
  readonly maxRequestBytes?: number | undefined;
  /** The text of every answer that was not scripted by `say`. Default: a description of what arrived. */
  readonly answer?: string | ((call: RecordedCall) => string) | undefined;
  /** Makes response ids and chance repeatable. Default 1. */
  readonly seed?: number | undefined;
  /** Faults that strike at random: the share of the calls that each one hits, from 0 to 1. */
  readonly chaos?:
    | {
        readonly seed?: number | undefined;
        readonly rates: FaultRates;
      }
    | undefined;
  /** Whether calls are kept in `emulator.journal`. Default `true`; `false` saves memory in long runs. */
  readonly journal?: boolean | undefined;
}

/** What Gemini serves in November 2026, previews left out. */
export const defaultModels: readonly string[] = [
  'gemini-3.8-flash',
  'gemini-3.6-flash',
  'gemini-3.5-flash',
  'gemini-3.5-flash-lite',
  'gemini-3-flash-preview',
  'gemini-3.1-pro-preview',
  'gemini-2.5-flash',
  'gemini-2.5-flash-lite',
  'gemini-2.5-pro',
  'gemini-embedding-2',
  'gemini-embedding-001',
];
