import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerCall } from './answer/describe-call.js';
import type { AnswerContent, ScriptedAnswer } from './answer/emulated-answer.js';
import { embed } from './embed/embed.js';
import { deliver } from './exchange/deliver.js';
import type { Exchange, SendJson } from './exchange/exchange.js';
import { answerInjected } from './exchange/injected-answer.js';
import { jsonType, readBody, refuseTooLarge, sendError, sendJson, sendText } from './exchange/respond.js';
import { readRoute } from './exchange/route.js';
import { FaultScript } from './faults/fault-script.js';
import { defaultRefusalMs } from './faults/faults.js';
import { files, upload } from './files/file-routes.js';
import { FileStore } from './files/file-store.js';
import { type GenerateSettings, generate } from './generate/generate.js';
import { CallLog } from './journal/call-log.js';
import { RecordedCall } from './journal/recorded-call.js';
import { countTokens, models } from './model-routes.js';
import type { ResolvedEmulatorOptions } from './options.js';
import type { EmulatedProject } from './quota/emulated-project.js';
import { QuotaLedger } from './quota/quota-ledger.js';
import { createRandom } from './random.js';
import { badKey, internal, invalidArgument, modelNotFound, quotaExceeded } from './wire/error-bodies.js';
import type { WireErrorBody } from './wire/messages.js';

/** The port at which the emulator listens. */
export interface EmulatorPort {
  readonly url: string;
  /** Refuses connections for `durationMs`. */
  refuse(durationMs: number): void;
}

/** Gemini's REST API behind the port: parses requests, checks keys and quotas, and answers. */
export class EmulatedApi {
  readonly log: CallLog;
  readonly faults: FaultScript;
  /** The next answers. */
  readonly scriptedAnswers: ScriptedAnswer[] = [];
  readonly #options: ResolvedEmulatorOptions;
  readonly #port: () => EmulatorPort;
  readonly #projects: ReadonlyMap<string, EmulatedProject> | undefined;
  readonly #ledger: QuotaLedger;
  readonly #files: FileStore;
  readonly #generate: GenerateSettings;

  constructor(options: ResolvedEmulatorOptions, port: () => EmulatorPort) {
    this.#options = options;
    this.#port = port;
    const { chaos, clock, seed } = options;
    this.log = new CallLog(clock, options.journal);
    this.#ledger = new QuotaLedger(options.window);
    this.#projects =
      options.projects &&
      new Map(options.projects.flatMap((project) => project.keys.map((key) => [key, project] as const)));
    this.faults = new FaultScript({ seed: chaos?.seed ?? seed, rates: chaos?.rates });
    const random = createRandom(seed);
    let ids = 0;
    const nextId = () => `${Math.floor(random() * 2 ** 32).toString(36)}${(ids++).toString(36)}`;
    this.#files = new FileStore({
      clock,
      processingMs: options.fileProcessingMs,
      baseUrl: () => port().url,
      nextId,
    });
    this.#generate = {
      clock,
      firstChunkDelayMs: options.firstChunkDelayMs,
      chunkDelayMs: options.chunkDelayMs,
      chunks: options.chunks,
      continueAfterCharacters: options.continueAfterCharacters,
      signatures: options.signatures,
      modelOf: (name) => options.aliases[name] ?? name,
      nextId,
      answerTo: (call) => this.#answerTo(call),
      refuseFile: (uri, projectId) => this.#files.refuse(uri, projectId),
      charge: (exchange, inputTokens) => this.#charge(exchange, inputTokens),
    };
  }

  readonly serve = (request: IncomingMessage, response: ServerResponse): void => {
    this.#exchange(request, response).catch((error: unknown) => {
      // Also reached when the client hung up: then there is no one to answer.
      if (response.headersSent || response.destroyed) response.destroy();
      else if (error instanceof URIError) sendJson(response, invalidArgument(), jsonType, 400);
      else sendJson(response, internal(), jsonType, 500);
    });
  };

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = readRoute(request.url ?? '/');
    const headerKey = request.headers['x-goog-api-key'];
    const urlKey = route.query.get('key');
    const bytes = await readBody(request, this.#options.maxRequestBytes);
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
      startedAt: this.#options.clock.now(),
    });
    const connection = this.log.enter(call, response);

    const project = this.#projectOf(call, isUploadedData);
    call.project = project?.id;
    if (!bytes) refuseTooLarge(response, route, this.#options.maxRequestBytes);
    else if (route.operation === 'unknown') sendText(response, notFoundPage, 'text/html; charset=UTF-8', 404);
    else if (!project) sendError(response, route, badKey(call.key));
    else if (body instanceof SyntaxError)
      sendError(response, route, invalidArgument(`Invalid JSON payload received. ${body.message}`));
    else {
      const injection = this.faults.take(call);
      call.fault = injection?.fault;
      await this.#answer({ request, response, route, call, bytes, project, injection, connection });
    }
  }

  #projectOf(call: RecordedCall, isUploadedData: boolean): EmulatedProject | undefined {
    // The upload URL grants access by itself: clients may send the bytes without a key.
    if (isUploadedData && !call.key) return { id: '', keys: [] };
    if (!call.key) return undefined;
    return this.#projects ? this.#projects.get(call.key) : { id: call.key, keys: [call.key] };
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { route, response, call, injection } = exchange;
    if (injection?.fault === 'refuse') this.#port().refuse(injection.delayMs ?? defaultRefusalMs);
    if (answerInjected(exchange)) return;
    if (route.method && !this.#options.models.includes(this.#generate.modelOf(call.model))) {
      sendError(response, route, modelNotFound(call.model, route.version, route.method));
      return;
    }
    const charge = this.#generate.charge;
    switch (route.operation) {
      case 'generate':
        return generate(exchange, this.#generate);
      case 'embed':
        return embed(exchange, this.#send, charge);
      case 'countTokens':
        return countTokens(exchange, this.#send);
      case 'models':
        return models(exchange, this.#send, this.#knownModels());
      case 'files':
        return files(exchange, this.#send, this.#files);
      default:
        return upload(exchange, this.#send, this.#files, this.#port().url);
    }
  }

  readonly #send: SendJson = async (exchange, body) => {
    if (!exchange.injection) return sendJson(exchange.response, body);
    await deliver({
      ...this.#generate,
      ...exchange,
      contentType: jsonType,
      frames: [JSON.stringify(body)],
    });
  };

  #knownModels(): readonly string[] {
    const { models, aliases } = this.#options;
    return [...models, ...Object.keys(aliases).filter((name) => models.includes(aliases[name] ?? ''))];
  }

  #answerTo(call: RecordedCall): AnswerContent {
    const answer = this.scriptedAnswers.shift() ?? this.#options.answer ?? answerCall;
    return typeof answer === 'function' ? answer(call) : answer;
  }

  #charge({ project, call }: Exchange, inputTokens: number): WireErrorBody | undefined {
    if (!project.limits) return undefined;
    const violations = this.#ledger.charge(project, call.model, inputTokens, this.#options.clock.now());
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
