import { z } from 'zod';
import { ConfigurationError } from '../../core/errors.js';
import { nonBlank } from '../../core/parse-options.js';

/** Where the service is and how it is reached. */
export interface GeminiEndpointOptions {
  /**
   * Default: the environment variable `GOOGLE_GEMINI_BASE_URL`, else Google's. An API version at its end
   * counts as `apiVersion`.
   */
  readonly baseUrl?: string | undefined;
  /** Default `v1beta`. */
  readonly apiVersion?: string | undefined;
  /** Further headers of every request, such as those that a gateway asks for. Not `x-goog-api-key`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Makes the requests, through a proxy of your own for example. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

const keyHeader = 'x-goog-api-key';

const versionAtEnd = /\/(v\d+(?:(?:alpha|beta)\d*)?)$/;

/** What is wrong with a base URL; undefined if nothing is. Does not quote it: it may hold a password. */
function faultOf(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return 'must be an http or https URL';
  const { hash, password, search, username } = new URL(text);
  if (username !== '' || password !== '')
    return 'must not hold a user name or password, which `fetch` refuses: pass them in `headers`';
  return search !== '' || hash !== '' ? 'must end with its path, without `?` and `#`' : undefined;
}

/** What is wrong with headers; undefined if nothing is. */
function headersFaultOf(headers: Readonly<Record<string, string>>): string | undefined {
  if (Object.keys(headers).some((name) => name.toLowerCase() === keyHeader))
    return `must not set ${keyHeader}: the key of each call comes from the key pool`;
  try {
    new Headers(headers);
    return undefined;
  } catch {
    // What it throws quotes the value.
    return 'must have names and values that HTTP allows, without line breaks';
  }
}

/** A check that names what is wrong. */
const checked =
  <T>(fault: (value: T) => string | undefined) =>
  ({ issues, value }: z.core.ParsePayload<T>) => {
    const message = fault(value);
    if (message !== undefined) issues.push({ code: 'custom', input: value, message });
  };

/** Options on where the service is, for the schema of each part that calls it. */
export const geminiEndpointShape = {
  baseUrl: z.string().trim().check(checked(faultOf)).optional(),
  apiVersion: nonBlank.optional(),
  headers: z.record(z.string(), z.string()).check(checked(headersFaultOf)).optional(),
  fetch: z
    .custom<typeof globalThis.fetch>((value) => typeof value === 'function', 'must be a function')
    .optional(),
};

/** @throws ConfigurationError if `GOOGLE_GEMINI_BASE_URL` cannot be used. */
function baseUrlFromEnv(): string | undefined {
  const url = process.env.GOOGLE_GEMINI_BASE_URL?.trim() || undefined;
  const fault = url === undefined ? undefined : faultOf(url);
  if (fault === undefined) return url;
  // It may hold a password.
  const shown = /[@?#]/.test(url ?? '') ? '' : ` is "${url}", which`;
  throw new ConfigurationError(`GOOGLE_GEMINI_BASE_URL${shown} ${fault}. Correct or unset it.`);
}

/** The base URL and version that a request goes to. */
export function resolveEndpoint({ apiVersion, baseUrl = baseUrlFromEnv() }: GeminiEndpointOptions): {
  readonly baseUrl: string | undefined;
  readonly apiVersion: string;
} {
  const url = baseUrl?.replace(/\/+$/, '');
  return {
    baseUrl: url?.replace(versionAtEnd, ''),
    apiVersion: apiVersion ?? (url && versionAtEnd.exec(url)?.[1]) ?? 'v1beta',
  };
}
