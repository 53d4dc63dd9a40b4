import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.js';
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
import { defaultRefusalMs, FaultScript } from './faults.js';
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

/** What the emulated service needs of the port that it is reached at. */
export interface ServicePort {
  readonly url: string;
  /** Refuses connections for so many milliseconds. */
  refuse(durationMs: number): void;
}

/** The emulated service behind the port: takes requests apart, checks keys and quotas, and answers. */
export class EmulatedService {
  readonly log: CallLog;
  readonly faults: FaultScript;
  /** Texts of the next answers. */
  readonly said: AnswerText[] = [];
  readonly #options: GeminiEmulatorOptions;
  readonly #clock: Clock;
  readonly #port: () => ServicePort;
  readonly #models: readonly string[];
  readonly #projects: ReadonlyMap<string, EmulatedProject> | undefined;
  readonly #ledger: QuotaLedger;
  readonly #files: FileStore;
  readonly #generate: GenerateSettings;
  readonly #maxRequestBytes: number;

  constructor(options: GeminiEmulatorOptions, clock: Clock, port: () => ServicePort) {
    this.#options = options;
    this.#clock = clock;
    this.#port = port;
    this.#models = options.models ?? defaultModels;
    this.log = new CallLog(clock, options.journal ?? true);
    this.#maxRequestBytes = options.maxRequestBytes ?? 100 * 1024 * 1024;
    this.#ledger = new QuotaLedger(options.window ?? 'sliding');
    this.#projects =
      options.projects &&
      new Map(options.projects.flatMap((project) => project.keys.map((key) => [key, project] as const)));
    const seed = options.seed ?? 1;
    this.faults = new FaultScript(
      options.chaos && { seed: options.chaos.seed ?? seed, rates: options.chaos.rates },
    );
    const random = createRandom(seed);
    let ids = 0;
    const nextId = () => `${Math.floor(random() * 2 ** 32).toString(36)}${(ids++).toString(36)}`;
    this.#files = new FileStore({
      clock,
      processingMs: options.fileProcessingMs ?? 0,
      baseUrl: () => port().url,
      nextId,
    });
    this.#generate = {
      clock,
      firstChunkDelayMs: options.firstChunkDelayMs ?? 0,
      chunkDelayMs: options.chunkDelayMs ?? 0,
      chunks: options.chunks ?? 4,
      files: this.#files,
      nextId,
      answerTo: (call) => this.#answerTo(call),
      charge: (exchange, inputTokens) => this.#charge(exchange, inputTokens),
    };
  }

  readonly serve = (request: IncomingMessage, response: ServerResponse): void => {
    this.#exchange(request, response).catch((error: unknown) => {
      // A client that hung up in the middle ends here too; there is nobody left to tell.
      if (response.headersSent || response.destroyed) response.destroy();
      else if (error instanceof URIError) sendJson(response, invalidArgument(), jsonType, 400);
      else sendJson(response, internal(), jsonType, 500);
    });
  };

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
    const connection = this.log.enter(call, response);

    const project = this.#projectOf(call, isUploadedData);
    call.project = project?.id;
    if (!bytes) refuseTooLarge(response, route, this.#maxRequestBytes);
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
    // The upload URL is itself the permission: clients need not send a key with the bytes.
    if (isUploadedData && !call.key) return { id: '', keys: [] };
    if (!call.key) return undefined;
    return this.#projects ? this.#projects.get(call.key) : { id: call.key, keys: [call.key] };
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { route, response, call, injection } = exchange;
    if (injection?.fault === 'refuse') this.#port().refuse(injection.delayMs ?? defaultRefusalMs);
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
        return sideRoutes.upload(exchange, this.#send, this.#files, this.#port().url);
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
    const text = this.said.shift() ?? this.#options.answer ?? describeCall;
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
