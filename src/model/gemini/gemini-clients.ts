import type { Fetch, GoogleGenAI, HttpOptions } from '@google/genai';
import { baseUrlFromEnv } from './gemini-endpoint.js';

/** Where the service is. */
export interface GeminiEndpoint {
  readonly baseUrl?: string | undefined;
  readonly apiVersion?: string | undefined;
}

/** Far more keys than a pool has; a client costs 3.5 KB. */
const maxClients = 256;

/** One `@google/genai` client per key, made on first use. */
export class GeminiClients {
  readonly #baseUrl: string | undefined;
  readonly #apiVersion: string | undefined;
  readonly #clients = new Map<string, GoogleGenAI>();
  #sdk: Promise<typeof import('@google/genai')> | undefined;

  /** @throws ConfigurationError if `GOOGLE_GEMINI_BASE_URL` is used and not a URL. */
  constructor({ apiVersion, baseUrl = baseUrlFromEnv() }: GeminiEndpoint) {
    this.#baseUrl = baseUrl;
    this.#apiVersion = apiVersion;
  }

  async get(apiKey: string): Promise<GoogleGenAI> {
    const known = this.#clients.get(apiKey);
    if (known) return known;
    const client = await this.make(apiKey);
    const oldest = this.#clients.keys().next();
    if (this.#clients.size >= maxClients && !oldest.done) this.#clients.delete(oldest.value);
    this.#clients.set(apiKey, client);
    return client;
  }

  /** A new client whose requests are made by `fetch`. */
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
