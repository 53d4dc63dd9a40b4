import type { Clock } from '../core/clock.js';
import type { MediaSource } from '../core/media.js';
import type { KeyPool } from '../keys/key-pool.js';
import type { LimitRule } from '../keys/limit-rules.js';
import type { MediaOptions } from '../media/media-options.js';
import type { MediaProcessor } from '../media/media-processor.js';
import type { Embedder } from '../memory/embedder.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { ChatModel, GenerationOptions, ProviderOptions } from '../model/chat-model.js';
import type { RetryPolicy } from '../retry/retry-policy.js';

/** What `new MultimodalChat()` takes. Everything has a default. */
export interface MultimodalChatOptions {
  /** Gemini API keys; say which share a Google Cloud project, since quotas are per project. Default: `GEMINI_API_KEY` and `GEMINI_API_KEY_*` of the environment. */
  readonly keys?:
    | readonly (string | { readonly key: string; readonly project?: string | undefined })[]
    | undefined;
  /** Known quotas, for everything or for a project or model. Default: learned from refusals. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** A key pool of your own, instead of `keys` and `limits`. You close it. */
  readonly keyPool?: KeyPool | undefined;
  /**
   * Name of a Gemini model (default: `GEMINI_MODEL`, else `gemini-3.8-flash`), or a `ChatModel` of any
   * provider, which you close. A model of another provider sees no Gemini key and no Gemini name.
   */
  readonly model?: string | ChatModel | undefined;
  /**
   * Models to fall back on, in order, when the first cannot serve: further names of its provider, or models
   * of other providers, which you close. Default: what the provider suggests, for Gemini
   * `['gemini-3.5-flash-lite']`.
   */
  readonly fallbackModels?: readonly (string | ChatModel)[] | undefined;
  /** Back-off settings, or a `RetryPolicy` of your own. */
  readonly retry?:
    | {
        /** Attempts at one model that count. Default 5. */
        readonly maxAttempts?: number | undefined;
        readonly baseDelayMs?: number | undefined;
        readonly maxDelayMs?: number | undefined;
        /** What to do when an answer breaks off after part of it was shown. Default `restart`. */
        readonly onPartialOutput?: 'restart' | 'fail' | undefined;
      }
    | RetryPolicy
    | undefined;
  /**
   * When an answer has not begun after so many milliseconds, a second call is made on another project
   * if that has quota to spare, and the one that begins first is kept. Costs the quota and tokens of
   * the other: see `isHedge` of a reply's attempts, `stats().calls.hedged`, and the keys' `wastedCalls`.
   * At most one a question. Default: off.
   */
  readonly hedge?: { readonly afterMs: number } | undefined;
  /** `false` forgets everything, `':memory:'` keeps turns in the process, or a `MemoryStore` of your own, which you close. Default: a file under `dataDir`. */
  readonly memory?: false | ':memory:' | MemoryStore | undefined;
  /**
   * Attachments are kept as the model was shown them, so that a later prompt about them shows them
   * again. `false` keeps none, `{ maxBytes }` bounds them (default 1 GiB; what was attached longest ago
   * goes first), or a `MediaArchive` of your own, which you close. Default: under `dataDir`; in the
   * process with `memory: ':memory:'`, none with `memory: false`.
   */
  readonly mediaArchive?: false | { readonly maxBytes?: number | undefined } | MediaArchive | undefined;
  /** Forgets turns and attachments for good once they are so old, in milliseconds. Default: never. */
  readonly retention?: { readonly maxAgeMs: number } | undefined;
  /** Lets the default store recall by meaning as well as by words. Default: none. */
  readonly embedder?: Embedder | undefined;
  /** Settings of the default media processor, or a `MediaProcessor` of your own, which you close. */
  readonly media?: MediaOptions | MediaProcessor | undefined;
  /** Where data is kept; made on the first write. Default `./.multimodal-chat`. */
  readonly dataDir?: string | undefined;
  /** Where Gemini is. Default: `GOOGLE_GEMINI_BASE_URL`, else Google's. */
  readonly baseUrl?: string | undefined;
  /** What the model is told about its role, in every call. */
  readonly systemInstruction?: string | undefined;
  readonly generation?: GenerationOptions | undefined;
  /**
   * Settings that only one provider understands, by its name; for Gemini, fields of
   * `GenerateContentConfig`: `{ google: { safetySettings: [...] } }`.
   */
  readonly providerOptions?: ProviderOptions | undefined;
  readonly timeouts?:
    | {
        /** Until the first piece of an answer, each attempt. Default 90 000. */
        readonly firstTokenMs?: number | undefined;
        /** Between two pieces of an answer. Default 60 000. */
        readonly betweenChunksMs?: number | undefined;
        /** The whole call: media, waiting for a key, every attempt. Default 300 000. */
        readonly callMs?: number | undefined;
      }
    | undefined;
  readonly context?:
    | {
        /**
         * Bytes that the attachments of one call may have together as they are sent, earlier ones that are
         * shown again among them; documents and recordings count, uploaded clips do not. Default 70 MiB:
         * 98 MB in base64, where Gemini takes 100 MB in a request.
         */
        readonly mediaBytes?: number | undefined;
        /**
         * Tokens that the attachments of one call may cost together, each an equal share: what does not
         * fit is looked at less closely, then shown with fewer frames and less sound. Default 64 000.
         */
        readonly mediaTokens?: number | undefined;
        /**
         * Tokens of attachments of earlier turns that are shown again, at low detail, when a prompt is
         * about them; 0 never shows any. Default 8 000.
         */
        readonly earlierMediaTokens?: number | undefined;
        /** Tokens of recent turns that are sent verbatim; the latest turn always is. Default 12 000. */
        readonly recentTokens?: number | undefined;
        /** At most this many recent turns are looked at. Default 40. */
        readonly recentTurns?: number | undefined;
        /** Tokens of older turns that were found by meaning. Default 4 000. */
        readonly recallTokens?: number | undefined;
        /** At most this many turns are recalled; 0 turns recall off. Default 20. */
        readonly recallTurns?: number | undefined;
        /**
         * Keeps a summary of the turns that are no longer sent verbatim, and sends it along. It is made
         * after an answer, by one call of a cheap model once so many tokens of turns have been added, with
         * quota that nobody waits for; it replaces no turn, and is forgotten with the turns. Needs a
         * `MemoryStore` with `summaries`, which the shipped ones have. Default: off.
         */
        readonly summary?: boolean | SummaryOptions | undefined;
      }
    | undefined;
  /** For tests: a clock to run in virtual time. */
  readonly clock?: Clock | undefined;
}

/** How the summary of earlier turns is made. */
export interface SummaryOptions {
  /** Default: what the provider suggests, for Gemini `gemini-3.5-flash-lite`. */
  readonly model?: string | undefined;
  /** Tokens that it may take of a request. Default 1 000. */
  readonly maxTokens?: number | undefined;
  /** It is extended once so many tokens of turns are to be added. Default 4 000. */
  readonly everyTokens?: number | undefined;
}

/** One question to the model. */
export interface ChatRequest {
  readonly prompt: string;
  /** The conversation that this turn belongs to. Default: a new one. */
  readonly sessionId?: string | undefined;
  /** Whose conversation; nothing is read across tenants. Default `default`. */
  readonly tenant?: string | undefined;
  /** Id of this turn; sending the same one again stores nothing twice. Default: a new one. */
  readonly turnId?: string | undefined;
  /** Pictures, clips, recordings and documents: paths, URLs, bytes, blobs or streams. */
  readonly media?: readonly MediaSource[] | undefined;
  /** The model's name for this call. */
  readonly model?: string | undefined;
  readonly systemInstruction?: string | undefined;
  /** Over the generation options of the chat. */
  readonly generation?: GenerationOptions | undefined;
  /** Over the provider options of the chat, setting by setting. */
  readonly providerOptions?: ProviderOptions | undefined;
  /** Interactive calls get keys before batch calls. Default `interactive`. */
  readonly priority?: 'interactive' | 'batch' | undefined;
  /** Over `timeouts.callMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
