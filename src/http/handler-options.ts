import { tmpdir } from 'node:os';
import { z } from 'zod';
import { atLeastOne } from '../core/parse-options.js';
import type { ChatRequest, NamedMedia } from '../index.js';

/** What an adapter knows about a request beyond its Web-standard form. */
export interface Connection {
  /** Address of the client, as far as the server trusts it. */
  readonly address?: string | undefined;
  /** Path and query without the prefix at which the handler is mounted. Default: those of `request.url`. */
  readonly path?: string | undefined;
}

/** The caller, as the `authorize` hook identifies it. */
export interface Identity {
  /** Conversations are never read across tenants. */
  readonly tenant: string;
}

/** A refusal by the `authorize` hook. */
export interface Refusal {
  /** 401: the caller is unknown. 403: the caller is known but not allowed. */
  readonly status: 401 | 403;
  /** One sentence for the client. */
  readonly message?: string | undefined;
}

/** A question as it came over HTTP, for the `prepare` hook. */
export interface IncomingQuestion {
  /** Empty if a turn goes on. */
  readonly prompt: string;
  /** The turn that goes on, for `POST /infer/resume`. */
  readonly turnId?: string | undefined;
  readonly sessionId: string;
  readonly tenant: string;
  readonly media: readonly NamedMedia[];
  /** The fields that the option `fields` allows, as sent: text in forms, any JSON value in JSON bodies. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What the `prepare` hook may set. */
export type PreparedQuestion = Partial<Omit<ChatRequest, 'sessionId' | 'tenant' | 'signal'>>;

/** Settings of `createHandler`, `nodeListener` and `chatRouter`. */
export interface HandlerOptions {
  /** Prefix of every route, such as `/api`. Default none. The Express router takes it from `app.use` instead. */
  readonly basePath?: string | undefined;
  /** HTML that `GET /` sends to browsers. Default: browsers get the JSON too. */
  readonly page?: string | (() => string | Promise<string>) | undefined;
  /** A sentence for people, in `GET /`, `GET /stats` and the header `X-Notice`. */
  readonly notice?: string | undefined;
  /**
   * Origins of pages, such as `https://app.example`, that may use the service besides its own; `*` is any.
   * Requests of other pages are refused. Default none.
   */
  readonly allowedOrigins?: readonly string[] | undefined;
  /**
   * Host names under which the service can be reached, besides addresses and names without a dot; `*` is any. Keeps web
   * pages from reaching a local service by DNS rebinding. Default: any with `apiToken` or `authorize`, else none.
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Requires `Authorization: Bearer <apiToken>` on all routes but `GET /` and `GET /health`. Default none. */
  readonly apiToken?: string | undefined;
  /**
   * Identifies the caller, after `apiToken` was checked. `undefined` refuses with 401, and anything that is no
   * identity with 500, so that a hook that forgets a case grants no access. Default: all callers share the
   * tenant `default`.
   */
  readonly authorize?:
    | ((request: Request) => Identity | Refusal | undefined | Promise<Identity | Refusal | undefined>)
    | undefined;
  /**
   * Sets what a question is asked with: the model, a system instruction, generation options, tools. Also called when
   * a turn goes on, which needs the same tools. Throw an `InvalidInputError` to refuse it.
   */
  readonly prepare?:
    | ((
        request: Request,
        question: IncomingQuestion,
      ) => PreparedQuestion | undefined | Promise<PreparedQuestion | undefined>)
    | undefined;
  /** Further fields of a question, which `prepare` reads. Fields that are not known are refused. Default none. */
  readonly fields?: readonly string[] | undefined;
  /** Questions per minute and client; more are refused with 429. Default unlimited. */
  readonly clientRpm?: number | undefined;
  /** Identifies clients for `clientRpm`. Default: the address that the adapter reports. */
  readonly clientAddress?: ((request: Request, connection: Connection) => string | undefined) | undefined;
  /** Total bytes of all files of a request. Default 200 MB. */
  readonly maxUploadBytes?: number | undefined;
  /** Bytes of a JSON body with media, which is held in memory. Other bodies are limited by `maxPromptChars`. Default 32 MB. */
  readonly maxBodyBytes?: number | undefined;
  /** Bytes of all bodies that are held in memory at a time; more are refused with 503. Default 128 MB. */
  readonly maxBodyBytesInFlight?: number | undefined;
  /** Bytes of all uploads that are on disk at a time; more are refused with 503. Default 4 GB. */
  readonly maxUploadBytesInFlight?: number | undefined;
  /** Time for a body to arrive; an upload gets more while it brings 16 kB a second. Default 60 000. */
  readonly bodyTimeoutMs?: number | undefined;
  /** Files per request. Default 16. */
  readonly maxFiles?: number | undefined;
  /** Characters of a prompt. Default 200 000. */
  readonly maxPromptChars?: number | undefined;
  /** Interval of the heartbeats in a streamed reply, which keep proxies from closing it. Default 15 000. */
  readonly heartbeatMs?: number | undefined;
  /** Directory of uploads while their request is processed. Default: the system's. */
  readonly tempDir?: string | undefined;
  /** Called with the error behind every reply of status 500 or above, for the log. */
  readonly onError?: ((error: unknown, request: Request) => void) | undefined;
}

/** Settings of `chatRouter`. */
export interface RouterOptions extends Omit<HandlerOptions, 'basePath'> {
  /** Whether other paths go on to the app's other routes; `false` answers them with 404. Default `true`. */
  readonly fallthrough?: boolean | undefined;
}

const megabyte = 1024 * 1024;
const callback = <T>() => z.custom<T>((value) => typeof value === 'function', 'must be a function');

/** The longest time that a timer takes; a longer one fires at once. */
const timerMs = z.number().positive().max(2_147_483_647);

const origin = z.union([
  z.literal('*'),
  z.url({ protocol: /^https?$/ }).transform((value) => new URL(value).origin),
  // Of apps in a web view.
  z
    .string()
    .regex(
      /^(?!https?:)[a-z][a-z\d+.-]*:\/\/[\w.-]+$/,
      'must be an origin such as https://app.example, or *',
    ),
]);

const hostName = z
  .string()
  .toLowerCase()
  .regex(
    /^(\*|[\w-]+(\.[\w-]+)*)$/,
    'must be a host name without scheme and port, such as chat.example.com, or *',
  );

const questionFields = [
  ...['prompt', 'session_id', 'stream', 'media', 'video_file'],
  ...['turn_id', 'approvals', 'results'],
];

export const handlerOptionsSchema = z.strictObject({
  basePath: z
    .string()
    .regex(/^(\/[^/?#]+)*\/?$/, 'must begin with a slash')
    .transform((path) => path.replace(/\/$/, ''))
    .default(''),
  page: z
    .union([z.string(), callback<() => string | Promise<string>>()])
    .transform((page) => (typeof page === 'string' ? () => page : page))
    .optional(),
  notice: z.string().min(1).optional(),
  allowedOrigins: z.array(origin).readonly().default([]),
  allowedHosts: z.array(hostName).readonly().optional(),
  apiToken: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be ASCII text without blanks, because it is sent in a header')
    .optional(),
  authorize: callback<NonNullable<HandlerOptions['authorize']>>().optional(),
  prepare: callback<NonNullable<HandlerOptions['prepare']>>().optional(),
  fields: z
    .array(
      z
        .string()
        .min(1)
        .refine((name) => !questionFields.includes(name), 'is a field of every question'),
    )
    .max(50)
    .readonly()
    .default([]),
  clientRpm: atLeastOne.optional(),
  clientAddress: callback<NonNullable<HandlerOptions['clientAddress']>>().optional(),
  maxUploadBytes: atLeastOne.default(200 * megabyte),
  maxBodyBytes: atLeastOne.default(32 * megabyte),
  maxBodyBytesInFlight: atLeastOne.default(128 * megabyte),
  maxUploadBytesInFlight: atLeastOne.default(4096 * megabyte),
  bodyTimeoutMs: timerMs.default(60_000),
  maxFiles: atLeastOne.default(16),
  maxPromptChars: atLeastOne.default(200_000),
  heartbeatMs: timerMs.default(15_000),
  tempDir: z.string().min(1).default(tmpdir),
  onError: callback<NonNullable<HandlerOptions['onError']>>().optional(),
}) satisfies z.ZodType<unknown, HandlerOptions>;

export type ResolvedHandlerOptions = z.output<typeof handlerOptionsSchema>;

export const routerOptionsSchema = handlerOptionsSchema
  .omit({ basePath: true })
  .extend({ fallthrough: z.boolean().default(true) }) satisfies z.ZodType<unknown, RouterOptions>;
