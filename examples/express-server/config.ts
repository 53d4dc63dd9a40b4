import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { ConfigurationError, keysFromEnv } from 'multimodal-chat';
import { z } from 'zod';
import type { ProxySettings } from './proxies.js';

export const logLevels = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type LogLevel = (typeof logLevels)[number];

/** The settings of the environment, validated and with defaults. */
export interface Settings {
  /** If empty, the built-in emulator answers. */
  readonly keys: ReturnType<typeof keysFromEnv>;
  readonly model: string | undefined;
  readonly baseUrl: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly logLevel: LogLevel;
  /** Absolute. */
  readonly logFile: string;
  readonly memory:
    | { readonly kind: 'embedded' }
    | {
        readonly kind: 'chroma';
        readonly url: string | undefined;
        /** File that keeps turns until the server has stored them. */
        readonly outbox: string | undefined;
      };
  /** Whether turns that are no longer sent verbatim are summarized. */
  readonly summary: boolean;
  /** Whether the model may call the example tools. */
  readonly tools: boolean;
  /** Absolute. */
  readonly dataDir: string;
  /** Servers with the same Redis share the quotas of their keys. */
  readonly redisUrl: string | undefined;
  readonly apiToken: string | undefined;
  readonly allowedOrigins: readonly string[];
  /** Undefined for the default of `chatRouter`. */
  readonly allowedHosts: readonly string[] | undefined;
  /** Proxies that name the address of the client, as Express's `trust proxy` takes them. */
  readonly trustProxy: number | readonly string[];
  /** Requests per minute and client. */
  readonly clientRpm: number | undefined;
  readonly maxUploadBytes: number;
  /** Absent if no proxy is set. */
  readonly proxies: ProxySettings | undefined;
  /** Sentences about valid settings that are probably not intended. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const bytesPerMegabyte = 1024 * 1024;

/** Shorter API tokens can be guessed. */
const shortestGoodToken = 16;

const wholeNumber = (min: number, max: number, what: string) =>
  z
    .string()
    .regex(/^\d+$/, `must be ${what}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be ${what}`);

const onOrOff = z.enum(['on', 'off'], 'must be on or off').transform((value) => value === 'on');

const httpUrl = z
  .string()
  .refine(
    (value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol),
    'must be an http:// or https:// URL',
  );

/** As other programs read it: without a scheme it is http. */
const proxyUrl = z
  .string()
  .transform((value) => (/^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`))
  .refine((value) => {
    if (!URL.canParse(value)) return false;
    const { password, protocol, username } = new URL(value);
    return /^https?:$/.test(protocol) && isPercentEncoded(username) && isPercentEncoded(password);
  }, 'must be the http:// or https:// URL of a proxy, with percent-encoded credentials if it needs any');

const isPercentEncoded = (text: string) => /^(?:[^%]|%[\da-f]{2})*$/i.test(text);

const originList = z
  .string()
  .transform((value) => value.split(',').map((origin) => origin.trim().replace(/\/$/, '')))
  .transform((origins) => origins.filter((origin) => origin !== ''))
  .refine(
    (origins) =>
      origins.every(
        (origin) => origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin),
      ),
    'must be a comma-separated list of origins such as https://app.example.com, or *',
  );

const hostList = z
  .string()
  .toLowerCase()
  .transform((value) => value.split(',').map((name) => name.trim()))
  .transform((names) => names.filter((name) => name !== ''))
  .refine(
    (names) => names.every((name) => /^(\*|[\w-]+(\.[\w-]+)*)$/.test(name)),
    'must be a comma-separated list of host names without scheme and port, such as chat.example.com, or *',
  );

const isNetwork = (text: string) => {
  const [address = '', bits = '0', ...more] = text.split('/');
  const version = isIP(address);
  return (
    version > 0 && more.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)
  );
};

const proxyTrust = z
  .string()
  .transform((value) => value.split(',').map((name) => name.trim()))
  .refine(
    (names) =>
      /^[1-9]$/.test(names.join()) ||
      names.every((name) => ['loopback', 'linklocal', 'uniquelocal'].includes(name) || isNetwork(name)),
    'must be loopback, addresses or networks of proxies separated by commas, or how many proxies there are (1 to 9)',
  )
  .transform((names) => (/^[1-9]$/.test(names.join()) ? Number(names.join()) : names));

const variables = z.object({
  GEMINI_MODEL: z
    .string()
    .regex(/^[\w.:/@-]+$/, 'must be the name of a model, without blanks')
    .optional(),
  GOOGLE_GEMINI_BASE_URL: httpUrl.optional(),
  HOST: z.string().default('localhost'),
  PORT: wholeNumber(0, 65_535, 'a port from 0 to 65535').default(9000),
  LOG_LEVEL: z
    .string()
    .transform((value) => value.toUpperCase())
    .pipe(z.enum(logLevels, `must be one of ${logLevels.join(', ')}`))
    .default('INFO'),
  LOG_FILE: z.string().default('chat_api.log'),
  MEMORY: z.enum(['embedded', 'chroma'], 'must be embedded or chroma').default('embedded'),
  CHROMA_URL: httpUrl.optional(),
  CHROMA_OUTBOX: onOrOff.optional(),
  MEMORY_PATH: z.string().default('.multimodal-chat'),
  SUMMARY: onOrOff.default(false),
  TOOLS: onOrOff.default(false),
  REDIS_URL: z
    .string()
    .refine(
      (value) =>
        URL.canParse(value) &&
        /^rediss?:$/.test(new URL(value).protocol) &&
        /^\/?\d*$/.test(new URL(value).pathname),
      'must be a redis:// or rediss:// URL, with the number of a database at most after the host',
    )
    .optional(),
  API_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be ASCII text without blanks, because it is sent in a header')
    .optional(),
  ALLOWED_ORIGINS: originList.default([]),
  ALLOWED_HOSTS: hostList.optional(),
  TRUST_PROXY: proxyTrust.default(['loopback']),
  CLIENT_RPM: wholeNumber(1, 1_000_000, 'a whole number of requests a minute, 1 or more').optional(),
  MAX_UPLOAD_MB: wholeNumber(1, 2048, 'a whole number of megabytes from 1 to 2048').default(200),
  HTTP_PROXY: proxyUrl.optional(),
  HTTPS_PROXY: proxyUrl.optional(),
  NO_PROXY: z.string().default(''),
});

/** Treats blank values as unset, as in a `.env` file with names but no values. */
function withoutBlanks(env: Environment): Environment {
  const entries = Object.entries(env).map(([name, value]) => [name, value?.trim()] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== ''));
}

/** The names of the proxy variables may be written in small letters, which win. */
function withProxyNames(env: Environment): Environment {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return { ...env, ...Object.fromEntries(names.map((name) => [name, env[name.toLowerCase()] ?? env[name]])) };
}

/**
 * Reads the settings from environment variables.
 *
 * @throws ConfigurationError that names every variable that is wrong, without its value.
 */
export function readSettings(env: Environment): Settings {
  const given = withProxyNames(withoutBlanks(env));
  const result = variables.safeParse(given);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
    throw new ConfigurationError(`The environment is not valid: ${problems.join('; ')}.`);
  }
  const read = result.data;
  const keys = keysFromEnv(given);
  const dataDir = resolve(read.MEMORY_PATH);
  const { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy } = read;
  const outbox = read.CHROMA_OUTBOX ? join(dataDir, 'outbox.sqlite') : undefined;
  return {
    keys,
    model: read.GEMINI_MODEL,
    baseUrl: read.GOOGLE_GEMINI_BASE_URL,
    host: read.HOST,
    port: read.PORT,
    logLevel: read.LOG_LEVEL,
    logFile: resolve(read.LOG_FILE),
    memory:
      read.MEMORY === 'chroma' ? { kind: 'chroma', url: read.CHROMA_URL, outbox } : { kind: 'embedded' },
    summary: read.SUMMARY,
    tools: read.TOOLS,
    dataDir,
    redisUrl: read.REDIS_URL,
    apiToken: read.API_TOKEN,
    allowedOrigins: read.ALLOWED_ORIGINS,
    allowedHosts: read.ALLOWED_HOSTS,
    trustProxy: read.TRUST_PROXY,
    clientRpm: read.CLIENT_RPM,
    maxUploadBytes: read.MAX_UPLOAD_MB * bytesPerMegabyte,
    proxies: (httpProxy ?? httpsProxy) ? { httpProxy, httpsProxy, noProxy } : undefined,
    warnings: findDoubts(read, keys.length),
  };
}

function findDoubts(read: z.output<typeof variables>, keyCount: number): string[] {
  const doubts: string[] = [];
  if (!isLoopback(read.HOST) && read.API_TOKEN === undefined) {
    doubts.push(
      `This server is OPEN: HOST is ${read.HOST} and API_TOKEN is not set, so anybody who can reach it can spend your quota and read every conversation. Set API_TOKEN, or HOST=localhost.`,
    );
  }
  if (read.API_TOKEN !== undefined && read.API_TOKEN.length < shortestGoodToken) {
    doubts.push(
      `API_TOKEN has fewer than ${shortestGoodToken} characters and can be guessed; make one with: openssl rand -hex 32`,
    );
  }
  if (read.ALLOWED_ORIGINS.includes('*') && read.API_TOKEN === undefined) {
    doubts.push(
      'ALLOWED_ORIGINS is * and API_TOKEN is not set, so every web page that a user of this network opens can read every conversation. Set API_TOKEN, or name the origins.',
    );
  }
  if (read.ALLOWED_HOSTS?.includes('*') && read.API_TOKEN === undefined) {
    doubts.push(
      'ALLOWED_HOSTS is * and API_TOKEN is not set, so web pages can reach this server by DNS rebinding. Set API_TOKEN, or name the hosts.',
    );
  }
  for (const name of ['CHROMA_URL', 'CHROMA_OUTBOX'] as const) {
    if (read.MEMORY === 'chroma' || !read[name]) continue;
    doubts.push(`${name} is set but MEMORY is not chroma, so the embedded store is used.`);
  }
  if (read.GOOGLE_GEMINI_BASE_URL !== undefined && keyCount === 0) {
    doubts.push('GOOGLE_GEMINI_BASE_URL is not used, because there is no GEMINI_API_KEY to call it with.');
  }
  return doubts;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}
