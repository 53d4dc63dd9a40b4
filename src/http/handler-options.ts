import { tmpdir } from 'node:os';
import { z } from 'zod';
import { ConfigurationError } from '../index.js';

/** What an adapter knows of a request beside its Web-standard form. */
export interface Connection {
  /** Address of the client, as far as the server trusts it. */
  readonly address?: string | undefined;
  /** Path and query without the prefix at which the handler is mounted. Default: those of `request.url`. */
  readonly path?: string | undefined;
}

/** Who is asking. */
export interface Identity {
  /** Nothing is ever read across tenants. */
  readonly tenant: string;
}

/** Why a request is turned away. */
export interface Refusal {
  /** 401: it is not known who asks. 403: it is known, and not allowed. */
  readonly status: 401 | 403;
  /** One sentence for the client. */
  readonly message?: string | undefined;
}

/** Settings of `createHandler`, `nodeListener` and `chatRouter`. */
export interface HandlerOptions {
  /** Path before every route, such as `/api`; for the Express router mount it with `app.use` instead. Default none. */
  readonly basePath?: string | undefined;
  /** HTML that `GET /` shows to a browser. Default: browsers get the JSON too. */
  readonly page?: string | (() => string | Promise<string>) | undefined;
  /** A sentence for people, in `GET /`, `GET /stats` and the header `X-Notice`. */
  readonly notice?: string | undefined;
  /** Origins whose pages may read the replies, such as `https://app.example`; `*` is any. Default none. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Demands `Authorization: Bearer <apiToken>` for everything but `GET /` and `GET /health`. Default none. */
  readonly apiToken?: string | undefined;
  /**
   * Says whose request it is, after `apiToken` has been checked. `undefined` refuses with 401, so that
   * a hook that forgets a case lets nobody in. Default: everybody is the tenant `default`.
   */
  readonly authorize?:
    | ((request: Request) => Identity | Refusal | undefined | Promise<Identity | Refusal | undefined>)
    | undefined;
  /** Questions a minute per client; more are refused with 429. Default unlimited. */
  readonly clientRpm?: number | undefined;
  /** Tells clients apart for `clientRpm`. Default: the address that the adapter reports. */
  readonly clientAddress?: ((request: Request, connection: Connection) => string | undefined) | undefined;
  /** Bytes of all files of a request together. Default 200 MB. */
  readonly maxUploadBytes?: number | undefined;
  /** Bytes of a JSON or urlencoded body, which is held in memory. Default 32 MB. */
  readonly maxBodyBytes?: number | undefined;
  /** Files of a request. Default 16. */
  readonly maxFiles?: number | undefined;
  /** Characters of a prompt. Default 200 000. */
  readonly maxPromptChars?: number | undefined;
  /** Between two signs of life in a streamed reply, so that proxies keep it open. Default 15 000. */
  readonly heartbeatMs?: number | undefined;
  /** Where uploads are kept while they are worked on. Default: the system's. */
  readonly tempDir?: string | undefined;
  /** Is told every error behind a reply of status 500 or above, for the log. */
  readonly onError?: ((error: unknown, request: Request) => void) | undefined;
}

const megabyte = 1024 * 1024;
const atLeastOne = z.number().int().min(1);
const callback = <T>() => z.custom<T>((value) => typeof value === 'function', 'must be a function');

const origin = z.union([
  z.literal('*'),
  z.url({ protocol: /^https?$/ }).transform((value) => new URL(value).origin),
]);

const handlerOptionsSchema = z.strictObject({
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
  heartbeatMs: z.number().positive().default(15_000),
  tempDir: z.string().min(1).default(tmpdir),
  onError: callback<NonNullable<HandlerOptions['onError']>>().optional(),
});

export type ResolvedHandlerOptions = z.output<typeof handlerOptionsSchema>;

/** @throws ConfigurationError that names every option that is wrong. */
export function resolveHandlerOptions(options: HandlerOptions): ResolvedHandlerOptions {
  const result = handlerOptionsSchema.safeParse(options);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `\`${path.join('.')}\`: ${message}` : message,
  );
  throw new ConfigurationError(`These HTTP options are not valid: ${issues.join('; ')}.`);
}
