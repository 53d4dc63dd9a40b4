import { z } from 'zod';
import { describeIssues } from '../core/parse-options.js';
import { InvalidInputError } from '../index.js';
import { flag, isRecord, pick, refuseCompressed } from './body-fields.js';
import type { ByteBudget } from './byte-budget.js';
import type { ResolvedHandlerOptions } from './handler-options.js';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';
import { openBody } from './incoming-body.js';
import { readBody } from './read-body.js';
import { timedBody } from './timed-body.js';
import { unknownField } from './unknown-field.js';

/** Results of calls that an app ran are texts and numbers: files come from tools of the server. */
const maxDecisionBytes = 2 ** 20;

const decisionsSchema = z.object({
  session_id: z.string().min(1),
  turn_id: z.string().min(1),
  approvals: z.record(z.string(), z.boolean()).optional(),
  results: z.record(z.string(), z.json()).optional(),
  stream: flag,
});

/** The body of a `POST /infer/resume`. */
export interface IncomingDecisions extends Omit<z.output<typeof decisionsSchema>, 'stream'> {
  readonly stream: boolean;
  /** Further fields that the options allow. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** @throws InvalidInputError or HttpError if the body is not acceptable. */
export async function readDecisions(
  request: HttpRequest,
  { budget, options }: { readonly options: ResolvedHandlerOptions; readonly budget: ByteBudget },
): Promise<IncomingDecisions> {
  refuseCompressed(request);
  const [mediaType = ''] = (request.headers.get('content-type') ?? '').toLowerCase().split(';', 1);
  if (mediaType.trim() !== 'application/json') {
    throw new HttpError(415, 'UNSUPPORTED_CONTENT_TYPE', 'Send the decisions as application/json.');
  }
  const share = budget.open();
  try {
    const chunks: Uint8Array[] = [];
    await readBody(timedBody(openBody(request), { timeoutMs: options.bodyTimeoutMs }), {
      maxBytes: Math.min(maxDecisionBytes, options.maxBodyBytes),
      share,
      take: (chunk) => chunks.push(chunk),
    });
    return parse(Buffer.concat(chunks).toString('utf8'), options);
  } finally {
    share.release();
  }
}

function parse(text: string, options: ResolvedHandlerOptions): IncomingDecisions {
  const given = readJson(text);
  const result = decisionsSchema.safeParse(given);
  if (!result.success) {
    throw new InvalidInputError(`The decisions are not valid: ${describeIssues(result.error)}.`);
  }
  const names = Object.keys(given).filter((name) => !Object.hasOwn(decisionsSchema.shape, name));
  const unknown = names.find((name) => !options.fields.includes(name));
  if (unknown !== undefined) throw unknownField(unknown);
  return { ...result.data, stream: result.data.stream ?? false, fields: pick(given, names) };
}

function readJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch (cause) {
    throw new InvalidInputError('The body is not valid JSON.', { cause });
  }
}
