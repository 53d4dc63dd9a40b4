import { randomUUID } from 'node:crypto';
import { linkedController } from '../core/abort.js';
import { type ChatStreamEvent, ConfigurationError, type Reply } from '../index.js';
import type { ByteBudget } from './byte-budget.js';
import { describeError } from './describe-error.js';
import { eventStream } from './event-stream.js';
import { type FileUrls, fetchableFiles } from './file-urls.js';
import type {
  Identity,
  IncomingQuestion,
  PreparedQuestion,
  ResolvedHandlerOptions,
} from './handler-options.js';
import { HttpError } from './http-error.js';
import type { HttpRequest, HttpResponse } from './http-messages.js';
import type { AnswerType } from './negotiate.js';
import { acceptedAnswerTypes } from './negotiate.js';
import { plainAnswer } from './plain-answer.js';
import { readDecisions } from './read-decisions.js';
import { checkSessionId, readQuestion } from './read-question.js';
import { errorBody, headerValue, respond, respondWithError, respondWithJson } from './respond.js';
import type { ServedChat } from './served-chat.js';
import type { UploadDirectories, UploadDirectory } from './upload-directory.js';
import { wireEvent, wireReply } from './wire-reply.js';

/** Dependencies of `POST /infer` and of `POST /infer/resume`. */
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

/** What is to be answered, and how the chat is asked for it. */
interface Asked {
  readonly conversation: Conversation;
  /** Whether the body asks for a streamed reply. */
  readonly stream: boolean;
  send(signal: AbortSignal): Promise<Reply>;
  open(signal: AbortSignal): AsyncIterable<ChatStreamEvent>;
}

interface Conversation {
  readonly sessionId: string;
  readonly tenant: string;
}

interface Reading {
  readonly tenant: string;
  readonly directory: UploadDirectory;
  /** Called with the name of the session as soon as it is known. */
  readonly named: (sessionId: string) => void;
}

type Read = (request: HttpRequest, deps: InferDeps, reading: Reading) => Promise<Asked>;

/** Answers `POST /infer`. */
export const infer = (request: HttpRequest, deps: InferDeps) => answer(request, deps, readInfer);

/** Answers `POST /infer/resume`. */
export const resume = (request: HttpRequest, deps: InferDeps) => answer(request, deps, readResume);

/** Every reply names the session, including refusals. */
async function answer(request: HttpRequest, deps: InferDeps, read: Read): Promise<HttpResponse> {
  let sessionId: string = randomUUID();
  const directory = deps.directories.forRequest(deps.report);
  try {
    const { tenant } = await deps.admit();
    const types = acceptedAnswerTypes(request.headers.get('accept'));
    const asked = await read(request, deps, {
      tenant,
      directory,
      named: (name) => {
        sessionId = name;
      },
    });
    const type = asked.stream && types.includes('text/event-stream') ? 'text/event-stream' : types[0];
    if (type === 'text/event-stream') return streamAnswer(request, asked, directory, deps);
    const response = await sendAnswer(request, asked, type, deps);
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

const readInfer: Read = async (request, deps, { directory, named, tenant }) => {
  const { chat, options } = deps;
  const question = await readQuestion(request, { ...deps, directory }, request.signal);
  const sessionId = question.sessionId === undefined ? randomUUID() : checkSessionId(question.sessionId);
  named(sessionId);
  const { fields, media, prompt, stream } = question;
  const conversation = { sessionId, tenant };
  const given = { prompt, media, ...conversation };
  const chatRequest = {
    ...given,
    ...(await prepared(request, { ...given, fields }, options)),
    ...conversation,
  };
  return {
    ...{ conversation, stream },
    send: (signal) => chat.send({ ...chatRequest, signal }),
    open: (signal) => chat.stream({ ...chatRequest, signal }),
  };
};

const readResume: Read = async (request, deps, { named, tenant }) => {
  const { chat, options } = deps;
  if (chat.resume === undefined) {
    throw new HttpError(501, 'NOT_SUPPORTED', 'The chat of this service cannot go on with a turn.');
  }
  const {
    approvals,
    fields,
    results,
    session_id,
    stream,
    turn_id: turnId,
  } = await readDecisions(request, deps);
  const conversation = { sessionId: checkSessionId(session_id), tenant };
  named(conversation.sessionId);
  const question = { prompt: '', media: [], turnId, ...conversation, fields };
  // The turn has a question, which is not asked anew.
  const {
    history: _,
    media: __,
    prompt: ___,
    toolChoice: ____,
    ...rest
  } = await prepared(request, question, options);
  const decided = { ...rest, ...conversation, turnId, approvals, results };
  const goOn = chat.resume.bind(chat);
  return {
    ...{ conversation, stream },
    send: (signal) => goOn({ ...decided, signal }).reply,
    open: (signal) => goOn({ ...decided, signal }),
  };
};

/** What the `prepare` hook of the app sets. */
async function prepared(
  request: HttpRequest,
  question: IncomingQuestion,
  options: ResolvedHandlerOptions,
): Promise<PreparedQuestion> {
  const set = (await options.prepare?.(request.toRequest(), question)) ?? {};
  if (typeof set === 'object') return set;
  throw new ConfigurationError(
    'The `prepare` hook must return fields of a request, such as { model }, or undefined.',
  );
}

async function sendAnswer(
  request: HttpRequest,
  asked: Asked,
  type: Exclude<AnswerType, 'text/event-stream'>,
  deps: InferDeps,
): Promise<HttpResponse> {
  const reply = await asked.send(request.signal);
  const urls = await urlsOf(reply, asked.conversation, deps);
  const headers = {
    ...answerHeaders(asked.conversation.sessionId),
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
  conversation: Conversation,
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
  asked: Asked,
  directory: UploadDirectory,
  deps: InferDeps,
): HttpResponse {
  const { options, report } = deps;
  const { controller, signal, unlink } = linkedController(request.signal);
  const body = eventStream(asked.open(signal), {
    heartbeatMs: options.heartbeatMs,
    encode: async (event) =>
      wireEvent(event, event.type === 'done' ? await urlsOf(event.reply, asked.conversation, deps) : noUrls),
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
    headers: { ...answerHeaders(asked.conversation.sessionId), 'x-accel-buffering': 'no' },
  });
}

const answerHeaders = (sessionId: string) => ({ 'x-session-id': headerValue(sessionId), vary: 'Accept' });
