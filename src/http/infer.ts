import { randomUUID } from 'node:crypto';
import type { ChatRequest } from '../index.js';
import { describeError } from './describe-error.js';
import { eventStream } from './event-stream.js';
import type { Identity, ResolvedHandlerOptions } from './handler-options.js';
import type { HttpRequest, HttpResponse } from './http-messages.js';
import type { AnswerType } from './negotiate.js';
import { acceptedAnswerTypes } from './negotiate.js';
import { checkQuestion, checkSessionId, readQuestion } from './read-question.js';
import { errorBody, headerValue, respond, respondWithError, respondWithJson } from './respond.js';
import type { ServedChat } from './served-chat.js';
import type { UploadDirectories, UploadDirectory } from './upload-directory.js';
import { wireReply } from './wire-reply.js';

export interface InferDeps {
  readonly chat: ServedChat;
  /** Says whose request it is, or throws why it is turned away. */
  readonly admit: () => Promise<Identity>;
  readonly options: ResolvedHandlerOptions;
  readonly directories: UploadDirectories;
  /** Is told every error behind a reply. */
  readonly report: (error: unknown) => void;
}

/** Answers `POST /infer`. Every reply, refusals too, names the session. */
export async function infer(request: HttpRequest, parts: InferDeps): Promise<HttpResponse> {
  let sessionId: string = randomUUID();
  const directory = parts.directories.forRequest();
  try {
    const { tenant } = await parts.admit();
    const types = acceptedAnswerTypes(request.headers.get('accept'));
    const question = await readQuestion(request, parts.options, directory, request.signal);
    if (question.sessionId !== undefined) sessionId = checkSessionId(question.sessionId);
    const prompt = checkQuestion(question, parts.options.maxPromptChars);
    const chatRequest = { prompt, sessionId, tenant, media: question.media };
    const type = question.stream && types.includes('text/event-stream') ? 'text/event-stream' : types[0];
    if (type === 'text/event-stream') return streamAnswer(request, chatRequest, directory, parts);
    const response = await sendAnswer(request, chatRequest, type, parts);
    await directory.remove();
    return response;
  } catch (error) {
    await directory.remove();
    parts.report(error);
    const response = respondWithError(describeError(error));
    response.headers['x-session-id'] = headerValue(sessionId);
    return response;
  }
}

async function sendAnswer(
  request: HttpRequest,
  chatRequest: ChatRequest & { readonly sessionId: string },
  type: Exclude<AnswerType, 'text/event-stream'>,
  { chat }: InferDeps,
): Promise<HttpResponse> {
  const reply = await chat.send({ ...chatRequest, signal: request.signal });
  const headers = { ...answerHeaders(chatRequest.sessionId), 'x-turn-id': headerValue(reply.turnId) };
  if (type === 'text/plain') return respond(reply.text, 'text/plain; charset=utf-8', { headers });
  const frameData = new URL(request.url).searchParams.get('frames') === '1';
  return respondWithJson(wireReply(reply, { frameData }), { headers });
}

function streamAnswer(
  request: HttpRequest,
  chatRequest: ChatRequest & { readonly sessionId: string },
  directory: UploadDirectory,
  { chat, options, report }: InferDeps,
): HttpResponse {
  const abort = new AbortController();
  const onAbort = () => abort.abort(request.signal.reason);
  request.signal.addEventListener('abort', onAbort, { once: true });
  if (request.signal.aborted) onAbort();
  const body = eventStream(chat.stream({ ...chatRequest, signal: abort.signal }), {
    heartbeatMs: options.heartbeatMs,
    describe: (error) => {
      report(error);
      const described = describeError(error);
      return { status: described.status, ...errorBody(described) };
    },
    abort: () => abort.abort(new DOMException('The reader has left.', 'AbortError')),
    finish: async () => {
      request.signal.removeEventListener('abort', onAbort);
      await directory.remove();
    },
  });
  return respond(body, 'text/event-stream; charset=utf-8', {
    // nginx would hold the events back until its buffer is full.
    headers: { ...answerHeaders(chatRequest.sessionId), 'x-accel-buffering': 'no' },
  });
}

const answerHeaders = (sessionId: string) => ({ 'x-session-id': headerValue(sessionId), vary: 'Accept' });
