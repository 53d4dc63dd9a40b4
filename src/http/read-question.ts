import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { describeIssues } from '../core/parse-options.js';
import type { NamedMedia } from '../index.js';
import { InvalidInputError, MediaError } from '../index.js';
import { Base64File, type FileContent } from './base64-file.js';
import { flag, isRecord, pick, refuseCompressed } from './body-fields.js';
import type { ByteBudget, ByteShare } from './byte-budget.js';
import type { ResolvedHandlerOptions } from './handler-options.js';
import { bodyTooLarge, HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';
import { openBody } from './incoming-body.js';
import { JsonBody, type LongFile } from './json-body.js';
import { readBody } from './read-body.js';
import { displayName, receiveForm, tooManyFiles, tooMuchUploaded, uploadNotStored } from './receive-form.js';
import { timedBody } from './timed-body.js';
import { unknownField } from './unknown-field.js';
import type { UploadDirectory } from './upload-directory.js';

const maxSessionIdChars = 256;
const otherBytes = 64 * 1024;
/** A UTF-16 unit takes at most six bytes in JSON (`\u00e9`) and nine percent-encoded (`%E2%82%AC`). */
const maxJsonBytesPerChar = 6;
const maxEncodedBytesPerChar = 9;
const minUploadBytesPerSecond = 16 * 1024;

/** The question of a `POST /infer`, with its files on disk. */
export interface Question {
  readonly prompt: string;
  readonly sessionId: string | undefined;
  readonly media: readonly NamedMedia[];
  /** Whether the body asks for a streamed reply. */
  readonly stream: boolean;
  /** Further fields that the options allow. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface QuestionDeps {
  readonly options: ResolvedHandlerOptions;
  readonly directory: UploadDirectory;
  /** Bytes of all bodies in memory. */
  readonly budget: ByteBudget;
}

/** Base64, or a `data:` URL with it. */
const fileData = z
  .union([z.string().transform((text) => new Base64File(text)), z.instanceof(Base64File)])
  .transform((file) => ({ mimeType: file.mimeType, content: file.end() }))
  .refine(
    (file): file is { mimeType: string | undefined; content: FileContent } => file.content !== undefined,
    'must be the bytes of a file in base64, or a data: URL with them',
  );

const mediaItem = z.union([
  fileData.transform((data) => ({ data, name: undefined, mime_type: undefined })),
  z.strictObject({
    data: fileData,
    name: z.string().max(200).optional(),
    mime_type: z.string().max(200).optional(),
  }),
]);

const questionSchema = z.object({
  prompt: z.string().nullish(),
  session_id: z.string().nullish(),
  stream: flag,
  media: z.array(mediaItem).nullish(),
});

/**
 * Reads the body of a question in any of the accepted types.
 *
 * @throws InvalidInputError, MediaError or HttpError if it is not acceptable.
 */
export async function readQuestion(
  request: HttpRequest,
  deps: QuestionDeps,
  signal: AbortSignal,
): Promise<Question> {
  refuseCompressed(request);
  const share = deps.budget.open();
  try {
    const question = await readFields(request, { ...deps, share }, signal);
    if (question.prompt.trim() === '' && question.media.length === 0) {
      throw new InvalidInputError('There is no prompt. Put the question into the field "prompt".');
    }
    return question;
  } finally {
    share.release();
  }
}

async function readFields(
  request: HttpRequest,
  deps: QuestionDeps & { readonly share: ByteShare },
  signal: AbortSignal,
): Promise<Question> {
  const { directory, options, share } = deps;
  const { bodyTimeoutMs: timeoutMs, maxBodyBytes, maxFiles, maxPromptChars, maxUploadBytes } = options;
  const contentType = request.headers.get('content-type') ?? '';
  const [mediaType = ''] = contentType.toLowerCase().split(';', 1);
  const declaredBytes = Number(request.headers.get('content-length') ?? 0);
  switch (mediaType.trim()) {
    case 'multipart/form-data': {
      // Refuses before the body is sent.
      if (declaredBytes > maxUploadBytes + 2 ** 20) throw tooMuchUploaded(maxUploadBytes);
      const body = timedBody(openBody(request), { timeoutMs, minBytesPerSecond: minUploadBytesPerSecond });
      const form = await receiveForm(body, contentType, { directory, limits: options, share, signal });
      const media = form.files.map(({ path, name, mimeType }) => ({ data: path, name, mimeType }));
      return { ...(await parseFields(Object.fromEntries(form.fields), deps)), media };
    }
    case 'application/json': {
      if (declaredBytes > maxBodyBytes) throw bodyTooLarge(maxBodyBytes);
      const json = new JsonBody({
        maxTextChars: maxPromptChars,
        maxOtherBytes: Math.min(maxBodyBytes, maxPromptChars * maxJsonBytesPerChar + otherBytes),
        maxFiles,
      });
      const body = timedBody(openBody(request), { timeoutMs });
      await readBody(body, { maxBytes: maxBodyBytes, share, take: (chunk) => json.add(chunk) });
      return parseFields(withFiles(json), deps);
    }
    case 'application/x-www-form-urlencoded': {
      const maxBytes = maxPromptChars * maxEncodedBytesPerChar + otherBytes;
      let separators = 0;
      const chunks: Uint8Array[] = [];
      await readBody(timedBody(openBody(request), { timeoutMs }), {
        maxBytes,
        share,
        take: (chunk) => {
          for (let at = chunk.indexOf(38); at >= 0; at = chunk.indexOf(38, at + 1)) {
            separators += 1;
            if (separators > 100) throw new InvalidInputError('The form has too many fields.');
          }
          chunks.push(chunk);
        },
      });
      return parseFields(fieldsOfQuery(Buffer.concat(chunks).toString('utf8')), deps);
    }
    default:
      throw new HttpError(
        415,
        'UNSUPPORTED_CONTENT_TYPE',
        'Send the question as multipart/form-data, application/json or application/x-www-form-urlencoded.',
      );
  }
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

function fieldsOfQuery(text: string): Record<string, string> {
  const entries = [...new URLSearchParams(text)];
  const fields = new Map(entries);
  if (fields.size < entries.length) throw new InvalidInputError('A field was sent twice. Send each once.');
  return Object.fromEntries(fields);
}

async function parseFields(
  body: unknown,
  { directory, options }: Pick<QuestionDeps, 'directory' | 'options'>,
): Promise<Question> {
  const given: Readonly<Record<string, unknown>> = isRecord(body) ? body : {};
  if (Array.isArray(given.media) && given.media.length > options.maxFiles)
    throw tooManyFiles(options.maxFiles);
  const known = isRecord(body) ? pick(given, Object.keys(questionSchema.shape)) : body;
  const result = questionSchema.safeParse(known);
  if (!result.success) {
    throw new InvalidInputError(`The question is not valid: ${describeIssues(result.error)}.`);
  }
  const names = Object.keys(given).filter((name) => !Object.hasOwn(questionSchema.shape, name));
  const unknown = names.find((name) => !options.fields.includes(name));
  if (unknown !== undefined) throw unknownField(unknown);
  const { prompt, session_id: sessionId, stream, media } = result.data;
  const { maxPromptChars } = options;
  if ((prompt?.length ?? 0) > maxPromptChars) {
    throw new HttpError(
      413,
      'PROMPT_TOO_LONG',
      `The prompt has ${prompt?.length} characters; at most ${maxPromptChars} are allowed. Shorten it.`,
    );
  }
  return {
    prompt: prompt ?? '',
    sessionId: sessionId?.trim() || undefined,
    stream: stream ?? false,
    media: await storeMedia(media ?? [], directory),
    fields: pick(given, names),
  };
}

/** Files of a JSON body go to disk too, so that none is in memory while the question waits. */
async function storeMedia(
  items: readonly z.output<typeof mediaItem>[],
  directory: UploadDirectory,
): Promise<readonly NamedMedia[]> {
  const stored: NamedMedia[] = [];
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    const name = displayName(item.name) ?? `attachment ${index + 1}`;
    const { byteLength, pieces } = item.data.content;
    if (byteLength === 0)
      throw new MediaError('empty', `The file "${name}" is empty. Attach one with content.`);
    bytes += byteLength;
    directory.hold(bytes);
    try {
      const path = join(await directory.path(), String(index));
      await writeFile(path, pieces, { flag: 'wx', mode: 0o600 });
      stored.push({ data: path, name, mimeType: item.mime_type ?? item.data.mimeType });
    } catch (error) {
      throw uploadNotStored(error);
    }
  }
  return stored;
}

/** The value of a body, with its long files in `media`. */
function withFiles(json: JsonBody): unknown {
  const body = json.end();
  if (!isRecord(body) || json.files.size === 0) return body;
  const left = new Map(json.files);
  const take = (value: unknown) => {
    const found = typeof value === 'string' ? left.get(value) : undefined;
    if (found !== undefined) left.delete(value as string);
    return found;
  };
  const media = Array.isArray(body.media)
    ? body.media.map((item: unknown) =>
        isRecord(item) ? { ...item, data: take(item.data)?.file ?? item.data } : (take(item)?.file ?? item),
      )
    : body.media;
  const others = Object.entries(body).map(([name, value]) => [name, textOf(take(value), value)]);
  if (left.size > 0) throw textTooLong();
  return { ...Object.fromEntries(others), ...(media !== undefined && { media }) };
}

/** The text of a field that looks like a file. */
function textOf(found: LongFile | undefined, value: unknown): unknown {
  if (found === undefined) return value;
  if (found.text === undefined) throw textTooLong();
  return found.text;
}

const textTooLong = () =>
  new HttpError(413, 'BODY_TOO_LARGE', 'A text in the body is too long. Send files in the field "media".');
