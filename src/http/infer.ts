import { randomUUID } from 'node:crypto';
import { linkedController } from '../core/abort.js';
import { type ChatRequest, ConfigurationError, type Reply } from '../index.js';
import type { ByteBudget } from './byte-budget.js';
import { describeError } from './describe-error.js';
import { eventStream } from './event-stream.js';
import { type FileUrls, fetchableFiles } from './file-urls.js';
import type { Identity, ResolvedHandlerOptions } from './handler-options.js';
import type { HttpRequest, HttpResponse } from './http-messages.js';
import type { AnswerType } from './negotiate.js';
import { acceptedAnswerTypes } from './negotiate.js';
import { plainAnswer } from './plain-answer.js';
import { checkSessionId, type Question, readQuestion } from './read-question.js';
import { errorBody, headerValue, respond, respondWithError, respondWithJson } from './respond.js';
import type { ServedChat } from './served-chat.js';
import type { UploadDirectories, UploadDirectory } from './upload-directory.js';
import { wireEvent, wireReply } from './wire-reply.js';

/** Dependencies of `POST /infer`. */
export interface InferDeps {
  readonly chat: ServedChat;
  /** Resolves with the caller's identity, or rejects with the reason for the refusal. */
  readonly admit: () => Promise<Identity>;
  readonly options: ResolvedHandlerOptions;
  /** Prefix of all routes. */
  readonly mount: string;
  readonly directories: UploadDirectories;
  /** Bytes of all bodies in memory. */
  readonly budget: ByteBudget;
  /** Called with the error behind every error reply. */
  readonly report: (error: unknown) => void;
}

/** Answers `POST /infer`. Every reply names the session, including refusals. */
export async function infer(request: HttpRequest, deps: InferDeps): Promise<HttpResponse> {
  let sessionId: string = randomUUID();
  const directory = deps.directories.forRequest(deps.report);
  try {
    const { tenant } = await deps.admit();
    const types = acceptedAnswerTypes(request.headers.get('accept'));
    const question = await readQuestion(request, { ...deps, directory }, request.signal);
    if (question.sessionId !== undefined) sessionId = checkSessionId(question.sessionId);
    const chatRequest = await prepare(request, question, { sessionId, tenant }, deps.options);
    const type = question.stream && types.includes('text/event-stream') ? 'text/event-stream' : types[0];
    if (type === 'text/event-stream') return streamAnswer(request, chatRequest, directory, deps);
    const response = await sendAnswer(request, chatRequest, type, deps);
    await directory.remove();
    return response;
  } catch (error) {
    await directory.remove();
    deps.report(error);
    const response = respondWithError(describeError(error));
    response.headers['x-session-id'] = headerValue(sessionId);
    return response;
  }
}

/** The question as the `prepare` hook of the app wants it asked. */
async function prepare(
  request: HttpRequest,
  { fields, media, prompt }: Question,
  conversation: { readonly sessionId: string; readonly tenant: string },
  options: ResolvedHandlerOptions,
): Promise<NamedRequest> {
  const question = { prompt, media, ...conversation };
  const prepared = await options.prepare?.(request.toRequest(), { ...question, fields });
  if (prepared === undefined) return question;
  if (typeof prepared !== 'object' || prepared === null) {
    throw new ConfigurationError(
      'The `prepare` hook must return fields of a request, such as { model }, or undefined.',
    );
  }
  return { ...question, ...prepared, ...conversation };
}

type NamedRequest = ChatRequest & { readonly sessionId: string; readonly tenant: string };

async function sendAnswer(
  request: HttpRequest,
  chatRequest: NamedRequest,
  type: Exclude<AnswerType, 'text/event-stream'>,
  deps: InferDeps,
): Promise<HttpResponse> {
  const reply = await deps.chat.send({ ...chatRequest, signal: request.signal });
  const urls = await urlsOf(reply, chatRequest, deps);
  const headers = {
    ...answerHeaders(chatRequest.sessionId),
    'x-turn-id': headerValue(reply.turnId),
    'x-finish-reason': reply.finishReason,
    ...(reply.files.length > 0 && { 'x-files': String(reply.files.length) }),
  };
  if (type === 'text/plain')
    return respond(plainAnswer(reply, urls), 'text/plain; charset=utf-8', { headers });
  const frameData = new URL(request.url).searchParams.get('frames') === '1';
  return respondWithJson(wireReply(reply, { frameData, hasFiles: false, urls }), { headers });
}

/** The answer is there: whether its files can be fetched must not fail it. */
async function urlsOf(
  reply: Reply,
  conversation: NamedRequest,
  { chat, mount, report }: InferDeps,
): Promise<FileUrls> {
  try {
    return await fetchableFiles(chat, conversation, reply, mount);
  } catch (error) {
    report(error);
    return noUrls;
  }
}

const noUrls: FileUrls = new Map();

function streamAnswer(
  request: HttpRequest,
  chatRequest: NamedRequest,
  directory: UploadDirectory,
  deps: InferDeps,
): HttpResponse {
  const { chat, options, report } = deps;
  const { controller, signal, unlink } = linkedController(request.signal);
  const body = eventStream(chat.stream({ ...chatRequest, signal }), {
    heartbeatMs: options.heartbeatMs,
    encode: async (event) =>
      wireEvent(event, event.type === 'done' ? await urlsOf(event.reply, chatRequest, deps) : noUrls),
    describe: (error) => {
      report(error);
      const described = describeError(error);
      return { status: described.status, ...errorBody(described) };
    },
    abort: () => controller.abort(new DOMException('The reader has left.', 'AbortError')),
    finish: async () => {
      unlink();
      await directory.remove();
    },
  });
  return respond(body, 'text/event-stream; charset=utf-8', {
    // Keeps nginx from buffering the events.
    headers: { ...answerHeaders(chatRequest.sessionId), 'x-accel-buffering': 'no' },
  });
}

const answerHeaders = (sessionId: string) => ({ 'x-session-id': headerValue(sessionId), vary: 'Accept' });
