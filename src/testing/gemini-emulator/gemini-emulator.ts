import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Clock, systemClock } from '../../clock.js';
import { ConfigurationError } from '../../errors.js';
import { CallLog } from './call-log.js';
import { deliver } from './deliver.js';
import { badKey, internal, invalidArgument, modelNotFound, quotaExceeded } from './error-bodies.js';
import {
  type Exchange,
  jsonType,
  readBody,
  readRoute,
  refuseTooLarge,
  sendError,
  sendJson,
  sendText,
} from './exchange.js';
import { FaultScript, type Injection } from './faults.js';
import { FileStore } from './file-store.js';
import { type GenerateSettings, generate } from './generate.js';
import { defaultModels, type EmulatedProject, type GeminiEmulatorOptions } from './options.js';
import { QuotaLedger } from './quota-ledger.js';
import { createRandom } from './random.js';
import { RecordedCall } from './recorded-call.js';
import { describeCall } from './reply-text.js';
import * as sideRoutes from './side-routes.js';
import { answerStruck } from './struck.js';
import type { WireErrorBody } from './wire.js';

/** The text of an answer, or how to make it from the call. */
export type AnswerText = string | ((call: RecordedCall) => string);

/**
 * Starts a local server that speaks Gemini's REST API over a real socket, without a key and without the
 * network. Point a client at its `url` by `GOOGLE_GEMINI_BASE_URL` or `httpOptions.baseUrl`.
 *
 * @example
 * ```ts
 * const emulator = await startGeminiEmulator({
 *   projects: [{ id: 'alpha', keys: ['key-1'], limits: { rpm: 10 } }],
 * });
 * const ai = new GoogleGenAI({ apiKey: 'key-1', httpOptions: { baseUrl: emulator.url } });
 *
 * emulator.say('Bonjour!');
 * emulator.inject({ fault: 'overloaded', times: 2 });
 * // ... run the code under test, which must ride out two 503s ...
 * assert.equal(emulator.journal.length, 3);
 * await emulator.close();
 * ```
 *
 * @throws ConfigurationError when the port or the host cannot be used.
 */
export async function startGeminiEmulator(options: GeminiEmulatorOptions = {}): Promise<GeminiEmulator> {
  const emulator = new GeminiEmulator(options);
  await emulator.listen();
  return emulator;
}

/** A running emulator; made by {@link startGeminiEmulator}. */
export class GeminiEmulator {
  readonly #options: GeminiEmulatorOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #models: readonly string[];
  readonly #projects: ReadonlyMap<string, EmulatedProject> | undefined;
  readonly #ledger: QuotaLedger;
  readonly #faults: FaultScript;
  readonly #files: FileStore;
  readonly #generate: GenerateSettings;
  readonly #maxRequestBytes: number;
  readonly #log: CallLog;
  readonly #said: AnswerText[] = [];
  #url = '';

  /** @internal */
  constructor(options: GeminiEmulatorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#models = options.models ?? defaultModels;
    this.#log = new CallLog(this.#clock, options.journal ?? true);
    this.#maxRequestBytes = options.maxRequestBytes ?? 100 * 1024 * 1024;
    this.#ledger = new QuotaLedger(options.window ?? 'sliding');
    this.#projects =
      options.projects &&
      new Map(options.projects.flatMap((project) => project.keys.map((key) => [key, project] as const)));
    const seed = options.seed ?? 1;
    this.#faults = new FaultScript(options.chaos && { seed, ...withoutUndefined(options.chaos) });
    const random = createRandom(seed);
    let ids = 0;
    const nextId = () => `${Math.floor(random() * 2 ** 32).toString(36)}${(ids++).toString(36)}`;
    this.#files = new FileStore({
      clock: this.#clock,
      processingMs: options.fileProcessingMs ?? 0,
      baseUrl: () => this.#url,
      nextId,
    });
    this.#generate = {
      clock: this.#clock,
      firstChunkDelayMs: options.firstChunkDelayMs ?? 0,
      chunkDelayMs: options.chunkDelayMs ?? 0,
      chunks: options.chunks ?? 4,
      files: this.#files,
      nextId,
      answerTo: (call) => this.#answerTo(call),
      charge: (exchange, inputTokens) => this.#charge(exchange, inputTokens),
    };
    this.#server = createServer((request, response) => this.#serve(request, response));
    // Node's default of 5 s races with clients that reuse a connection at just that moment.
    this.#server.keepAliveTimeout = 65_000;
  }

  /** Where the server listens, such as `http://127.0.0.1:41234`. */
  get url(): string {
    return this.#url;
  }

  /** The calls received so far, oldest first; empty with `journal: false`. */
  get journal(): readonly RecordedCall[] {
    return this.#log.calls;
  }

  /** Makes the next matching calls go wrong, or gives them a raw reply. Injections apply in their order. */
  inject(injection: Injection): void {
    this.#faults.add(injection);
  }

  /** Drops what was injected and has not struck yet. */
  clearFaults(): void {
    this.#faults.clear();
  }

  /** Scripts the text of the next answer; call it again for the one after. */
  say(text: AnswerText): void {
    this.#said.push(text);
  }

  /** Resolves once the emulator has received `calls` calls since its start. */
  whenReceived(calls: number): Promise<void> {
    return this.#log.whenReceived(calls);
  }

  /** Resolves once no call is being answered, so that the journal is complete. */
  whenIdle(): Promise<void> {
    return this.#log.whenIdle();
  }

  /** @internal */
  async listen(): Promise<void> {
    const { port = 0, host = '127.0.0.1' } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const refuse = (cause: NodeJS.ErrnoException) => {
        const hint = cause.code === 'EADDRINUSE' ? ' Leave `port` out to get a free one.' : '';
        const message = `The emulator cannot listen on ${host}:${port} (${cause.code}).${hint}`;
        reject(new ConfigurationError(message, { cause }));
      };
      this.#server.once('error', refuse);
      this.#server.listen(port, host, () => {
        this.#server.off('error', refuse);
        resolve();
      });
    });
    const address = this.#server.address() as AddressInfo;
    this.#url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  }

  /** Stops listening and cuts what is still open. */
  async close(): Promise<void> {
    this.#log.cutAll();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#exchange(request, response).catch((error: unknown) => {
      // A client that hung up in the middle ends here too; there is nobody left to tell.
      if (response.headersSent || response.destroyed) response.destroy();
      else if (error instanceof URIError) sendJson(response, invalidArgument(), jsonType, 400);
      else sendJson(response, internal(), jsonType, 500);
    });
  }

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = readRoute(request.url ?? '/');
    const headerKey = request.headers['x-goog-api-key'];
    const urlKey = route.query.get('key');
    const bytes = await readBody(request, this.#maxRequestBytes);
    const isUploadedData = route.operation === 'upload' && route.query.has('upload_id');
    const body = isUploadedData || !bytes?.length ? undefined : parseJson(bytes);
    const call = new RecordedCall({
      method: request.method ?? 'GET',
      path: route.path,
      operation: route.operation,
      model: route.model,
      key: typeof headerKey === 'string' ? headerKey : (urlKey ?? ''),
      keyInUrl: urlKey !== null,
      stream: route.method === 'streamGenerateContent',
      body: body instanceof SyntaxError ? undefined : body,
      startedAt: this.#clock.now(),
    });
    const connection = this.#log.enter(call, response);

    const project = this.#projectOf(call, isUploadedData);
    call.project = project?.id;
    if (!bytes) refuseTooLarge(response, route, this.#maxRequestBytes);
    else if (route.operation === 'unknown') sendText(response, notFoundPage, 'text/html; charset=UTF-8', 404);
    else if (!project) sendError(response, route, badKey(call.key));
    else if (body instanceof SyntaxError)
      sendError(response, route, invalidArgument(`Invalid JSON payload received. ${body.message}`));
    else {
      const injection = this.#faults.take(call);
      call.fault = injection?.fault;
      await this.#answer({ request, response, route, call, bytes, project, injection, connection });
    }
  }

  #projectOf(call: RecordedCall, isUploadedData: boolean): EmulatedProject | undefined {
    // The upload URL is itself the permission: clients need not send a key with the bytes.
    if (isUploadedData && !call.key) return { id: '', keys: [] };
    if (!call.key) return undefined;
    return this.#projects ? this.#projects.get(call.key) : { id: call.key, keys: [call.key] };
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { route, response, call } = exchange;
    if (answerStruck(exchange)) return;
    if (route.method && !this.#models.includes(call.model)) {
      sendError(response, route, modelNotFound(call.model, route.version, route.method));
      return;
    }
    const charge = this.#generate.charge;
    switch (route.operation) {
      case 'generate':
        return generate(exchange, this.#generate);
      case 'embed':
        return sideRoutes.embed(exchange, this.#send, charge);
      case 'countTokens':
        return sideRoutes.countTokens(exchange, this.#send);
      case 'models':
        return sideRoutes.models(exchange, this.#send, this.#models);
      case 'files':
        return sideRoutes.files(exchange, this.#send, this.#files);
      default:
        return sideRoutes.upload(exchange, this.#send, this.#files, this.#url);
    }
  }

  readonly #send: sideRoutes.Send = async (exchange, body) => {
    if (!exchange.injection) return sendJson(exchange.response, body);
    await deliver({
      ...this.#generate,
      ...exchange,
      contentType: jsonType,
      frames: [JSON.stringify(body)],
    });
  };

  #answerTo(call: RecordedCall): string {
    const text = this.#said.shift() ?? this.#options.answer ?? describeCall;
    return typeof text === 'string' ? text : text(call);
  }

  #charge({ project, call }: Exchange, inputTokens: number): WireErrorBody | undefined {
    if (!project.limits) return undefined;
    const violations = this.#ledger.charge(project, call.model, inputTokens, this.#clock.now());
    return violations.length > 0 ? quotaExceeded(violations, call.model, project.tier) : undefined;
  }
}

const notFoundPage =
  '<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n<title>Error 404 (Not Found)!!1</title>\n' +
  '<p><b>404.</b> <ins>That’s an error.</ins>\n<p>The requested URL was not found on this server.\n';

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    if (error instanceof SyntaxError) return error;
    throw error;
  }
}

const withoutUndefined = ({ seed, rates }: NonNullable<GeminiEmulatorOptions['chaos']>) => ({
  ...(seed !== undefined && { seed }),
  rates,
});
