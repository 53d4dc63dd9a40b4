import { z } from 'zod';
import type { NamedMedia } from '../index.js';
import { InvalidInputError, MediaError } from '../index.js';
import type { ResolvedHandlerOptions } from './handler-options.js';
import { HttpError } from './http-error.js';
import type { BodyReader, HttpRequest } from './http-messages.js';
import { bodyOfBytes } from './incoming-body.js';
import { readBody } from './read-body.js';
import { receiveForm, tooMuchUploaded } from './receive-form.js';
import type { UploadDirectory } from './upload-directory.js';

const maxSessionIdChars = 256;

/** The question of a `POST /infer`, with its files on disk. */
export interface Question {
  readonly prompt: string | undefined;
  readonly sessionId: string | undefined;
  readonly media: readonly NamedMedia[];
  /** Whether the body asks for a streamed reply. */
  readonly stream: boolean;
}

/** zod's own pattern takes a second for 40 MB. */
const isBase64 = (text: string) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

const jsonSchema = z.object({
  prompt: z.string().optional(),
  session_id: z.string().nullish(),
  stream: z.union([z.boolean(), z.stringbool()]).nullish(),
  media: z
    .array(
      z.object({
        data: z.string().refine(isBase64, 'must be the bytes of a file in base64'),
        name: z.string().max(200).optional(),
        mime_type: z.string().max(200).optional(),
      }),
    )
    .nullish(),
});

/**
 * Reads the body of a question in any of the accepted types.
 *
 * @throws InvalidInputError, MediaError or HttpError if it is not acceptable.
 */
export async function readQuestion(
  request: HttpRequest,
  options: ResolvedHandlerOptions,
  directory: UploadDirectory,
  signal: AbortSignal,
): Promise<Question> {
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw new HttpError(
      415,
      'UNSUPPORTED_ENCODING',
      'Compressed bodies are not supported. Send the body uncompressed.',
    );
  }
  const contentType = request.headers.get('content-type') ?? '';
  const [mediaType = ''] = contentType.toLowerCase().split(';', 1);
  switch (mediaType.trim()) {
    case 'multipart/form-data':
      refuseDeclared(request, options.maxUploadBytes);
      return readForm(openBody(request), contentType, options, directory, signal);
    case 'application/json':
      return readJson(await readBody(openBody(request), options.maxBodyBytes), options.maxFiles);
    case 'application/x-www-form-urlencoded':
      return fromFields(
        new Map(new URLSearchParams(await readBody(openBody(request), options.maxBodyBytes))),
      );
    default:
      throw new HttpError(
        415,
        'UNSUPPORTED_CONTENT_TYPE',
        'Send the question as multipart/form-data, application/json or application/x-www-form-urlencoded.',
      );
  }
}

/**
 * Returns the prompt, checked.
 *
 * @throws InvalidInputError or HttpError that says what to send instead.
 */
export function checkQuestion({ prompt }: Question, maxPromptChars: number): string {
  if (prompt === undefined || prompt.trim() === '') {
    throw new InvalidInputError('There is no prompt. Put the question into the field "prompt".');
  }
  if (prompt.length > maxPromptChars) {
    throw new HttpError(
      413,
      'PROMPT_TOO_LONG',
      `The prompt has ${prompt.length} characters; at most ${maxPromptChars} are allowed. Shorten it.`,
    );
  }
  return prompt;
}

/** @throws InvalidInputError if the name is too long, or has characters that no log line or header may have. */
export function checkSessionId(sessionId: string): string {
  if (sessionId.length > maxSessionIdChars || /\p{Cc}|\p{Cs}/u.test(sessionId)) {
    throw new InvalidInputError(
      `The session's name must have at most ${maxSessionIdChars} characters and no control characters.`,
    );
  }
  return sessionId;
}

async function readForm(
  body: BodyReader,
  contentType: string,
  limits: ResolvedHandlerOptions,
  directory: UploadDirectory,
  signal: AbortSignal,
): Promise<Question> {
  const { fields, files } = await receiveForm(body, contentType, { directory, limits, signal });
  const media = files.map(({ path, name, mimeType }) => ({ data: path, name, mimeType }));
  return { ...fromFields(fields), media };
}

function fromFields(fields: ReadonlyMap<string, string>): Question {
  return {
    prompt: fields.get('prompt'),
    sessionId: fields.get('session_id')?.trim() || undefined,
    stream: ['true', '1'].includes(fields.get('stream') ?? ''),
    media: [],
  };
}

function readJson(text: string, maxFiles: number): Question {
  const result = jsonSchema.safeParse(parseJson(text));
  if (!result.success) {
    const issues = result.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
    throw new InvalidInputError(`The JSON body is not valid: ${issues.join('; ')}.`);
  }
  const { prompt, session_id: sessionId, stream, media } = result.data;
  if ((media?.length ?? 0) > maxFiles) {
    throw new HttpError(413, 'TOO_MANY_FILES', `More than ${maxFiles} files were sent. Send fewer.`);
  }
  return {
    prompt,
    sessionId: sessionId?.trim() || undefined,
    stream: stream ?? false,
    media: (media ?? []).map(decode),
  };
}

function decode(
  item: { data: string; name?: string | undefined; mime_type?: string | undefined },
  index: number,
): NamedMedia {
  const name = item.name?.replaceAll(/\p{Cc}+/gu, ' ').trim() || `attachment ${index + 1}`;
  const data = Buffer.from(item.data, 'base64');
  if (data.byteLength === 0)
    throw new MediaError('empty', `The file "${name}" is empty. Attach one with content.`);
  return { data, name, mimeType: item.mime_type };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError('The body is not valid JSON.', { cause });
  }
}

/** Refuses by `Content-Length`, before the body is sent. */
function refuseDeclared(request: HttpRequest, maxUploadBytes: number): void {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > maxUploadBytes + 1024 * 1024) throw tooMuchUploaded(maxUploadBytes);
}

const openBody = (request: HttpRequest): BodyReader => request.openBody() ?? bodyOfBytes(new Uint8Array());
