import { tmpdir } from 'node:os';
import { z } from 'zod';
import { atLeastOne, durationMs } from '../core/parse-options.js';

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

/** Settings of `createHandler`, `nodeListener` and `chatRouter`. */
export interface HandlerOptions {
  /** Prefix of every route, such as `/api`. Default none. The Express router takes it from `app.use` instead. */
  readonly basePath?: string | undefined;
  /** HTML that `GET /` sends to browsers. Default: browsers get the JSON too. */
  readonly page?: string | (() => string | Promise<string>) | undefined;
  /** A sentence for people, in `GET /`, `GET /stats` and the header `X-Notice`. */
  readonly notice?: string | undefined;
  /** Origins whose pages may read the replies, such as `https://app.example`; `*` is any. Default none. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Requires `Authorization: Bearer <apiToken>` on all routes but `GET /` and `GET /health`. Default none. */
  readonly apiToken?: string | undefined;
  /**
   * Identifies the caller, after `apiToken` was checked. `undefined` refuses with 401, so that a hook that
   * forgets a case grants no access. Default: all callers share the tenant `default`.
   */
  readonly authorize?:
    | ((request: Request) => Identity | Refusal | undefined | Promise<Identity | Refusal | undefined>)
    | undefined;
  /** Questions per minute and client; more are refused with 429. Default unlimited. */
  readonly clientRpm?: number | undefined;
  /** Identifies clients for `clientRpm`. Default: the address that the adapter reports. */
  readonly clientAddress?: ((request: Request, connection: Connection) => string | undefined) | undefined;
  /** Total bytes of all files of a request. Default 200 MB. */
  readonly maxUploadBytes?: number | undefined;
  /** Bytes of a JSON or urlencoded body, which is held in memory. Default 32 MB. */
  readonly maxBodyBytes?: number | undefined;
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

const origin = z.union([
  z.literal('*'),
  z.url({ protocol: /^https?$/ }).transform((value) => new URL(value).origin),
]);

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
  apiToken: z.string().min(1).optional(),
  authorize: callback<NonNullable<HandlerOptions['authorize']>>().optional(),
  clientRpm: atLeastOne.optional(),
  clientAddress: callback<NonNullable<HandlerOptions['clientAddress']>>().optional(),
  maxUploadBytes: atLeastOne.default(200 * megabyte),
  maxBodyBytes: atLeastOne.default(32 * megabyte),
  maxFiles: atLeastOne.default(16),
  maxPromptChars: atLeastOne.default(200_000),
  heartbeatMs: durationMs.default(15_000),
  tempDir: z.string().min(1).default(tmpdir),
  onError: callback<NonNullable<HandlerOptions['onError']>>().optional(),
}) satisfies z.ZodType<unknown, HandlerOptions>;

export type ResolvedHandlerOptions = z.output<typeof handlerOptionsSchema>;

export const routerOptionsSchema = handlerOptionsSchema
  .omit({ basePath: true })
  .extend({ fallthrough: z.boolean().default(true) }) satisfies z.ZodType<unknown, RouterOptions>;
