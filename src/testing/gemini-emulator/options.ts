import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { atLeastOne, count, partWith } from '../../core/parse-options.js';
import { isScriptedAnswer, type ScriptedAnswer } from './answer/emulated-answer.js';
import { type FaultRates, faultNames } from './faults/faults.js';
import { defaultAliases, defaultModels } from './models/emulated-models.js';
import type { EmulatedProject } from './quota/emulated-project.js';
import type { QuotaWindow } from './quota/quota-window.js';

/** Settings of `startGeminiEmulator`. */
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
  /**
   * Names that stand for another model. Default: the `-latest` names of November 2026. An answer's
   * `modelVersion` is the model behind the name.
   */
  readonly aliases?: Readonly<Record<string, string>> | undefined;
  /** Clock of quotas, delays and file processing. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Default 0. */
  readonly firstChunkDelayMs?: number | undefined;
  /** Between two chunks of a stream. Default 0. */
  readonly chunkDelayMs?: number | undefined;
  /** Number of pieces of a streamed answer, cut between words. Default 4. */
  readonly chunks?: number | undefined;
  /** How long an uploaded video stays `PROCESSING`. Default 0. */
  readonly fileProcessingMs?: number | undefined;
  /** Larger requests are answered 400 as Gemini does. Default 100 MiB. */
  readonly maxRequestBytes?: number | undefined;
  /**
   * Every answer not scripted by `say`. Default: a description of the request. A text is completed by what
   * the request asks for: sources of its built-in tools, code, a picture, sound.
   */
  readonly answer?: ScriptedAnswer | undefined;
  /**
   * A text of more characters ends with the finish reason `CONTINUATION` and a token that any emulator goes
   * on from, with any key. Default: never.
   */
  readonly continueAfterCharacters?: number | undefined;
  /**
   * Which thought signatures are taken back; others are answered 400. `model`: those that an emulator issued
   * to the same model. `project`: and to the same project. `any`: they are not checked. Default `model`.
   */
  readonly signatures?: 'any' | 'model' | 'project' | undefined;
  /** Makes response ids and random faults repeatable. Default 1. */
  readonly seed?: number | undefined;
  /** Random faults: the share of calls that each one hits, from 0 to 1. */
  readonly chaos?:
    | {
        /** Default: the emulator's `seed`. */
        readonly seed?: number | undefined;
        /** Shares of the calls, from 0 to 1, by the name of the fault. */
        readonly rates: FaultRates;
      }
    | undefined;
  /** Whether calls are kept in `emulator.journal`. Default `true`; `false` saves memory in long runs. */
  readonly journal?: boolean | undefined;
}

const share = z.number().min(0).max(1);
const limitsSchema = z.strictObject({
  rpm: count.optional(),
  tpm: count.optional(),
  rpd: count.optional(),
});

export const geminiEmulatorOptionsSchema = z.strictObject({
  port: count.max(65_535).default(0),
  host: z.string().min(1).default('127.0.0.1'),
  projects: z
    .array(
      z.strictObject({
        id: z.string(),
        keys: z.array(z.string()).readonly(),
        limits: z.union([limitsSchema, z.record(z.string(), limitsSchema)]).optional(),
        tier: z.enum(['free', 'paid']).optional(),
      }),
    )
    .readonly()
    .optional(),
  window: z.enum(['sliding', 'fixed', 'bucket']).default('sliding'),
  models: z.array(z.string()).readonly().default(defaultModels),
  aliases: z.record(z.string(), z.string()).default(defaultAliases),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(systemClock),
  firstChunkDelayMs: z.number().min(0).default(0),
  chunkDelayMs: z.number().min(0).default(0),
  chunks: atLeastOne.default(4),
  fileProcessingMs: z.number().min(0).default(0),
  maxRequestBytes: atLeastOne.default(100 * 1024 * 1024),
  answer: z
    .custom<ScriptedAnswer>(isScriptedAnswer, 'must be a text, an object with `parts`, or a function')
    .optional(),
  continueAfterCharacters: atLeastOne.optional(),
  signatures: z.enum(['any', 'model', 'project']).default('model'),
  seed: z.number().int().default(1),
  chaos: z
    .strictObject({ seed: z.number().int().optional(), rates: z.partialRecord(z.enum(faultNames), share) })
    .optional(),
  journal: z.boolean().default(true),
}) satisfies z.ZodType<unknown, GeminiEmulatorOptions>;

export type ResolvedEmulatorOptions = z.output<typeof geminiEmulatorOptionsSchema>;
