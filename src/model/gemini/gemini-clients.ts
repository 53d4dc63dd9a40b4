import type { Fetch, GoogleGenAI, HttpOptions } from '@google/genai';
import { ConfigurationError } from '../../core/errors.js';

/** Where the service is. */
export interface GeminiEndpoint {
  /** Default the environment variable `GOOGLE_GEMINI_BASE_URL`, else Google's. */
  readonly baseUrl?: string | undefined;
  /** Default as in `@google/genai`, `v1beta`. */
  readonly apiVersion?: string | undefined;
}

/** More than anybody has keys; a client costs 3.5 KB. */
const mostClients = 256;

function readBaseUrl(option: string | undefined): string | undefined {
  const baseUrl = option ?? process.env.GOOGLE_GEMINI_BASE_URL?.trim();
  if (baseUrl === undefined || baseUrl === '') return undefined;
  if (!/^https?:\/\//i.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new ConfigurationError(
      `The base URL "${baseUrl}" is no http or https URL. Correct the option baseUrl or GOOGLE_GEMINI_BASE_URL.`,
    );
  }
  return baseUrl;
}

/** One `@google/genai` client per key, made on first use. */
export class GeminiClients {
  readonly #baseUrl: string | undefined;
  readonly #apiVersion: string | undefined;
  readonly #clients = new Map<string, GoogleGenAI>();
  #sdk: Promise<typeof import('@google/genai')> | undefined;

  /** @throws ConfigurationError when the base URL is not one. */
  constructor(endpoint: GeminiEndpoint) {
    this.#baseUrl = readBaseUrl(endpoint.baseUrl);
    this.#apiVersion = endpoint.apiVersion;
  }

  async get(apiKey: string): Promise<GoogleGenAI> {
    const known = this.#clients.get(apiKey);
    if (known) return known;
    const client = await this.make(apiKey);
    const oldest = this.#clients.keys().next();
    if (this.#clients.size >= mostClients && !oldest.done) this.#clients.delete(oldest.value);
    this.#clients.set(apiKey, client);
    return client;
  }

  /** A client of its own, for an exchange of several requests that `fetch` makes. */
  async make(apiKey: string, fetch?: Fetch): Promise<GoogleGenAI> {
    this.#sdk ??= import('@google/genai');
    const { GoogleGenAI } = await this.#sdk;
    // Explicit, because GOOGLE_GENAI_USE_VERTEXAI flips it; fresh, because the constructor changes it.
    const httpOptions: HttpOptions = {};
    if (this.#baseUrl !== undefined) httpOptions.baseUrl = this.#baseUrl;
    if (fetch !== undefined) httpOptions.fetch = fetch;
    return new GoogleGenAI({
      apiKey,
      vertexai: false,
      httpOptions,
      ...(this.#apiVersion === undefined ? {} : { apiVersion: this.#apiVersion }),
    });
  }

  clear(): void {
    this.#clients.clear();
  }
}
