import type { Clock } from '../core/clock.js';
import type { MediaSource } from '../core/media.js';
import type { JsonValue } from '../core/message.js';
import type { AnySchema } from '../core/schema.js';
import type { Tool, ToolChoice } from '../core/tool.js';
import type { KeyPool } from '../keys/key-pool.js';
import type { LimitRule } from '../keys/limit-rules.js';
import type { MediaOptions } from '../media/media-options.js';
import type { MediaProcessor } from '../media/media-processor.js';
import type { Embedder } from '../memory/embedder.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type {
  BuiltInTools,
  ChatModel,
  GenerationOptions,
  ModelName,
  ProviderOptions,
} from '../model/chat-model.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import type { HistoryMessage } from './history-messages.js';

/** Options of `MultimodalChat`. Everything has a default. */
export interface MultimodalChatOptions {
  /**
   * Gemini API keys, with the Google Cloud projects that they belong to: quotas are per project. Default:
   * `GEMINI_API_KEY` and `GEMINI_API_KEY_*` from the environment.
   */
  readonly keys?:
    | readonly (string | { readonly key: string; readonly project?: string | undefined })[]
    | undefined;
  /** Known quotas, for all projects and models or for one of them. Default: learned from refusals. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** Your own key pool, in place of `keys` and `limits`. You close it. */
  readonly keyPool?: KeyPool | undefined;
  /**
   * Name of a Gemini model (default: `GEMINI_MODEL`, else `gemini-3.8-flash`), or a `ChatModel` of any
   * provider, which you close. A model of another provider never gets a Gemini key or model name.
   */
  readonly model?: ModelName | ChatModel | undefined;
  /**
   * Models to try, in order, when the first cannot serve: names of the same provider, or models of other
   * providers, which you close. Default: the provider's suggestion, for Gemini `['gemini-3.5-flash-lite']`.
   */
  readonly fallbackModels?: readonly (ModelName | ChatModel)[] | undefined;
  /** Retry settings, or your own `RetryPolicy`. */
  readonly retry?:
    | {
        /** Attempts per model, without those that the key pool routes around. Default 5. */
        readonly maxAttempts?: number | undefined;
        /** Longest delay before the first retry; it doubles with each attempt. Default 500. */
        readonly baseDelayMs?: number | undefined;
        /** Longest delay. Default 20 000. */
        readonly maxDelayMs?: number | undefined;
        /** What to do if an answer breaks off after part of it was shown. Default `restart`. */
        readonly onPartialOutput?: 'restart' | 'fail' | undefined;
      }
    | RetryPolicy
    | undefined;
  /**
   * If an answer has not started after `afterMs` milliseconds, makes a second call on another project, if one
   * has quota to spare, and keeps the answer that starts first. Costs the quota and tokens of the other
   * call: see `isHedge` of a reply's attempts, `stats().calls.hedged`, and `wastedCalls` of the keys. At most
   * once per question. Default: off.
   */
  readonly hedge?:
    | {
        /** In milliseconds. */
        readonly afterMs: number;
      }
    | undefined;
  /**
   * `false` stores nothing, `':memory:'` keeps turns until the process ends, or your own `MemoryStore`, which
   * you close. Default: a file under `dataDir`.
   */
  readonly memory?: false | ':memory:' | MemoryStore | undefined;
  /**
   * Keeps attachments as the model was shown them, so that a later prompt can have them attached again.
   * `false` keeps none, `{ maxBytes }` limits them (default 1 GiB; the oldest are deleted first), or your own
   * `MediaArchive`, which you close. Default: under `dataDir`; in the process with `memory: ':memory:'`, none
   * with `memory: false`.
   */
  readonly mediaArchive?:
    | false
    | {
        /** Default 1 GiB. */
        readonly maxBytes?: number | undefined;
      }
    | MediaArchive
    | undefined;
  /** Permanently deletes turns and attachments that are older than `maxAgeMs` milliseconds. Default: never. */
  readonly retention?:
    | {
        /** In milliseconds. */
        readonly maxAgeMs: number;
      }
    | undefined;
  /** Lets the default store find turns by meaning as well as by words. Default: none. */
  readonly embedder?: Embedder | undefined;
  /** Settings of the default media processor, or your own `MediaProcessor`, which you close. */
  readonly media?: MediaOptions | MediaProcessor | undefined;
  /** Directory for data, created on the first write. Default `./.multimodal-chat`. */
  readonly dataDir?: string | undefined;
  /** Base URL of Gemini. Default: `GOOGLE_GEMINI_BASE_URL`, else Google's. */
  readonly baseUrl?: string | undefined;
  /** API version of Gemini. Default: that at the end of `baseUrl`, else `v1beta`. */
  readonly apiVersion?: string | undefined;
  /** Further headers of every request to Gemini, such as those that a gateway asks for. Not `x-goog-api-key`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Makes the requests to Gemini. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Tells the model its role, in every call. */
  readonly systemInstruction?: string | undefined;
  /** How to generate. Only what is set is sent. */
  readonly generation?: GenerationOptions | undefined;
  /** Tools that the provider runs itself, for every call. Default: none. */
  readonly builtIn?: BuiltInTools | undefined;
  /** Functions that the model may call, for every call. Made with `tool()`. Default: none. */
  readonly tools?: readonly Tool[] | undefined;
  /** Whether the model may or has to call a tool. It has to only in the first step. Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /**
   * How often the model may be asked in one turn. A step in which it calls tools is followed by another; in the
   * last one it may call nothing. Default 8.
   */
  readonly maxSteps?: number | undefined;
  /**
   * Settings of one provider, by its name. For Gemini, fields of `GenerateContentConfig`:
   * `{ google: { safetySettings: [...] } }`.
   */
  readonly providerOptions?: ProviderOptions | undefined;
  /** How long to wait, in milliseconds. */
  readonly timeouts?:
    | {
        /**
         * Until the first chunk of an answer, for each attempt. Default: by how much the model thinks, 90 000 for
         * `minimal` to 300 000 for `xhigh`, 180 000 if no level is set.
         */
        readonly firstTokenMs?: number | undefined;
        /** Between two chunks of an answer. Default: as `firstTokenMs`. */
        readonly betweenChunksMs?: number | undefined;
        /** The whole call: media, waiting for a key, all attempts, tools. Default 300 000. */
        readonly callMs?: number | undefined;
        /** One call of a tool. Default 60 000. */
        readonly toolMs?: number | undefined;
      }
    | undefined;
  /** How much of the conversation, and of its media, a call may send. */
  readonly context?:
    | {
        /**
         * Maximum bytes of all attachments of one call as they are sent, including reattached ones. Documents
         * and recordings count, uploaded clips do not. Default 70 MiB: 98 MB in base64, of the 100 MB that
         * Gemini takes in a request.
         */
        readonly mediaBytes?: number | undefined;
        /**
         * Maximum tokens of all attachments of one call; each gets an equal share. What does not fit is sent in
         * lower detail, then with fewer frames and less sound. Default 64 000.
         */
        readonly mediaTokens?: number | undefined;
        /**
         * Maximum tokens of attachments of earlier turns that are attached again, in low detail, when a prompt
         * refers to them. 0 turns this off. Default 8 000.
         */
        readonly earlierMediaTokens?: number | undefined;
        /**
         * Maximum tokens of the result of one tool call. What is beyond is cut off, which the model is told: one
         * result that is too large for the model would end the conversation. Default 16 000.
         */
        readonly toolResultTokens?: number | undefined;
        /** Maximum tokens of recent turns that are sent verbatim; the latest turn always is. Default 12 000. */
        readonly recentTokens?: number | undefined;
        /** Maximum number of recent turns. Default 40. */
        readonly recentTurns?: number | undefined;
        /** Maximum tokens of recalled turns. Default 4 000. */
        readonly recallTokens?: number | undefined;
        /** Maximum number of recalled turns. 0 turns recall off. Default 20. */
        readonly recallTurns?: number | undefined;
        /**
         * Keeps a summary of the turns that are no longer sent verbatim, and sends it with each question. The
         * summary is extended after an answer, in one call to a cheap model for every `everyTokens` tokens of
         * such turns, with quota that nobody is waiting for. It replaces no turn and is deleted with the turns.
         * Needs a `MemoryStore` with `summaries`; the shipped stores have it. Default: off.
         */
        readonly summary?: boolean | SummaryOptions | undefined;
      }
    | undefined;
  /** For tests: a clock that runs in virtual time. */
  readonly clock?: Clock | undefined;
}

/** How the summary of earlier turns is made. */
export interface SummaryOptions {
  /** Default: the provider's suggestion, for Gemini `gemini-3.5-flash-lite`. */
  readonly model?: ModelName | undefined;
  /** Maximum tokens of the summary in a request. Default 1 000. */
  readonly maxTokens?: number | undefined;
  /** Extends the summary whenever this many tokens of turns are not in it yet. Default 4 000. */
  readonly everyTokens?: number | undefined;
}

/** One question to the model. */
export interface ChatRequest<Output extends AnySchema | undefined = AnySchema | undefined> {
  /** May be empty if there are `media`. */
  readonly prompt: string;
  /** The conversation that the turn belongs to. Default: a new one. */
  readonly sessionId?: string | undefined;
  /** The owner of the conversation. Nothing is read across tenants. Default `default`. */
  readonly tenant?: string | undefined;
  /**
   * Id of the turn. With the id of a stored turn, such as `reply.turnId`, the new question and answer replace
   * it, in its place; the model is shown what came before it. Default: a new one.
   */
  readonly turnId?: string | undefined;
  /**
   * The messages before the prompt, oldest first, for a caller that keeps them: this call reads nothing of memory
   * and is shown these, within `context.recentTokens` and `recentTurns`. The turn is stored if `sessionId` is
   * given. Media in `parts` are named, not shown. Not together with `turnId`. Default: the stored turns.
   */
  readonly history?: readonly HistoryMessage[] | undefined;
  /** Pictures, clips, recordings and documents: paths, URLs, bytes, blobs or streams. */
  readonly media?: readonly MediaSource[] | undefined;
  /** Name of the model for this call. Default: the `model` of the chat. */
  readonly model?: ModelName | undefined;
  /** Replaces the system instruction of the chat. */
  readonly systemInstruction?: string | undefined;
  /** Overrides the generation options of the chat, option by option. */
  readonly generation?: GenerationOptions | undefined;
  /** Overrides the built-in tools of the chat, tool by tool; `false` turns one off. */
  readonly builtIn?: BuiltInTools | undefined;
  /** In place of the tools of the chat; an empty list turns them off. */
  readonly tools?: readonly Tool[] | undefined;
  /** Overrides `toolChoice` of the chat. */
  readonly toolChoice?: ToolChoice | undefined;
  /** Overrides `maxSteps` of the chat. */
  readonly maxSteps?: number | undefined;
  /**
   * Schema of the answer: it is `reply.object`, checked and typed, and grows in `object` events. An answer that does
   * not fit is asked for once more. Works together with tools and built-in tools. Default: text.
   */
  readonly output?: Output | undefined;
  /** Overrides the provider options of the chat, setting by setting. */
  readonly providerOptions?: ProviderOptions | undefined;
  /** Interactive calls get keys before batch calls. Default `interactive`. */
  readonly priority?: 'interactive' | 'batch' | undefined;
  /** Overrides `timeouts.callMs`. */
  readonly timeoutMs?: number | undefined;
  /** Aborting it cancels the call, which rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** Decisions about the calls of a turn that waits for them. */
export interface ResumeRequest<Output extends AnySchema | undefined = AnySchema | undefined>
  extends Omit<ChatRequest<Output>, 'media' | 'prompt' | 'sessionId' | 'toolChoice' | 'turnId'> {
  readonly sessionId: string;
  /** `reply.turnId` of the reply that has `pending` calls. */
  readonly turnId: string;
  /** Whether a call may run, by its id. */
  readonly approvals?: Readonly<Record<string, boolean>> | undefined;
  /** Results of calls that the app ran, by their id. */
  readonly results?: Readonly<Record<string, JsonValue>> | undefined;
}
