import type { Fetch, GoogleGenAI, HttpOptions } from '@google/genai';
import { ConfigurationError } from '../../core/errors.js';
import { loadInstalled } from '../../core/installed.js';
import { type GeminiEndpointOptions, resolveEndpoint } from './gemini-endpoint.js';

/** Far more keys than a pool has; a client costs 3.5 KB. */
const maxClients = 256;

/** Shorter values, such as `true`, are no secrets, and removing them would garble sentences. */
const minSecretCharacters = 8;

/** One `@google/genai` client per key, made on first use. */
export class GeminiClients {
  /** What makes the requests. */
  readonly fetch: typeof globalThis.fetch | undefined;
  readonly #baseUrl: string | undefined;
  readonly #apiVersion: string;
  readonly #headers: Readonly<Record<string, string>> | undefined;
  readonly #clients = new Map<string, GoogleGenAI>();
  #sdk: Promise<typeof import('@google/genai')> | undefined;

  /** @throws ConfigurationError if `GOOGLE_GEMINI_BASE_URL` is used and wrong. */
  constructor(endpoint: GeminiEndpointOptions) {
    const { apiVersion, baseUrl } = resolveEndpoint(endpoint);
    this.#baseUrl = baseUrl;
    this.#apiVersion = apiVersion;
    this.#headers = endpoint.headers;
    this.fetch = endpoint.fetch;
  }

  /** Values in headers that no error may show, each also without its scheme (`Bearer`). */
  get secrets(): readonly string[] {
    const values = Object.values(this.#headers ?? {}).flatMap((value) => [value, ...value.split(/\s+/)]);
    return values.filter(({ length }) => length >= minSecretCharacters);
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
    this.#sdk ??= loadSdk();
    const { GoogleGenAI } = await this.#sdk;
    // Explicit, because GOOGLE_GENAI_USE_VERTEXAI flips it; fresh, because the constructor changes it.
    const httpOptions: HttpOptions = {};
    if (this.#baseUrl !== undefined) httpOptions.baseUrl = this.#baseUrl;
    if (this.#headers !== undefined) httpOptions.headers = { ...this.#headers };
    if (fetch !== undefined) httpOptions.fetch = fetch;
    // Version 3 of the SDK has another default.
    return new GoogleGenAI({ apiKey, vertexai: false, httpOptions, apiVersion: this.#apiVersion });
  }

  clear(): void {
    this.#clients.clear();
  }
}

const importSdk = () => import('@google/genai');

/** Bundlers may take it in; what esbuild makes of it in an ES module fails on its first require(). */
async function loadSdk(): ReturnType<typeof importSdk> {
  try {
    return await loadInstalled('@google/genai', importSdk);
  } catch (cause) {
    throw new ConfigurationError(
      'The package @google/genai cannot be loaded. Run npm install again; beside a bundle, run npm install @google/genai, or bundle as CommonJS.',
      { cause },
    );
  }
}
