import type { QuotaViolation } from '../quota/quota-ledger.js';
import type { WireErrorBody } from './messages.js';

/** Error bodies as Gemini writes them; a test compares them with recordings of real replies. */

const service = 'generativelanguage.googleapis.com';
const rateLimitsUrl = 'https://ai.google.dev/gemini-api/docs/rate-limits';

function errorBody(
  code: number,
  status: string,
  message: string,
  details?: readonly Readonly<Record<string, unknown>>[],
): WireErrorBody {
  return { error: { code, message, status, ...(details && { details }) } };
}

const type = (name: string) => `type.googleapis.com/google.rpc.${name}`;

const errorInfo = (reason: string, metadata: Readonly<Record<string, string>>) => ({
  '@type': type('ErrorInfo'),
  reason,
  domain: 'googleapis.com',
  metadata,
});

const localized = (message: string) => ({ '@type': type('LocalizedMessage'), locale: 'en-US', message });

export const invalidArgument = (message = 'Request contains an invalid argument.') =>
  errorBody(400, 'INVALID_ARGUMENT', message);

/** Echoes the key in clear, as Google does: a client must scrub it. */
export function badKey(key: string): WireErrorBody {
  const message = 'API key not valid. Please pass a valid API key.';
  return errorBody(400, 'INVALID_ARGUMENT', message, [
    errorInfo('API_KEY_INVALID', { service }),
    localized(message),
    { '@type': type('DebugInfo'), detail: `Invalid API key: ${key}` },
  ]);
}

export function expiredKey(): WireErrorBody {
  const message = 'API key expired. Please renew the API key.';
  return errorBody(400, 'INVALID_ARGUMENT', message, [
    errorInfo('API_KEY_INVALID', { service }),
    localized(message),
  ]);
}

export function restrictedKey(projectNumber: string, method: string): WireErrorBody {
  const rpc = `${method.slice(0, 1).toUpperCase()}${method.slice(1)}`;
  const methodName = `google.ai.generativelanguage.v1beta.GenerativeService.${rpc}`;
  const message = `Requests to this API ${service} method ${methodName} are blocked.`;
  return errorBody(403, 'PERMISSION_DENIED', message, [
    errorInfo('API_KEY_SERVICE_BLOCKED', {
      consumer: `projects/${projectNumber}`,
      service,
      apiName: service,
      methodName,
    }),
    localized(message),
  ]);
}

export const leakedKey = () =>
  errorBody(403, 'PERMISSION_DENIED', 'Your API key was reported as leaked. Please use another API key.');

/** Echoes the key in clear, as Google does. */
export function suspended(key: string, projectNumber: string): WireErrorBody {
  const message = `Permission denied: Consumer 'api_key:${key}' has been suspended.`;
  return errorBody(403, 'PERMISSION_DENIED', message, [
    errorInfo('CONSUMER_SUSPENDED', {
      consumer: `projects/${projectNumber}`,
      service,
      containerInfo: `api_key:${key}`,
    }),
    localized(message),
  ]);
}

export function serviceDisabled(projectNumber: string): WireErrorBody {
  const url = `https://console.developers.google.com/apis/api/${service}/overview?project=${projectNumber}`;
  return errorBody(
    403,
    'PERMISSION_DENIED',
    `Generative Language API has not been used in project ${projectNumber} before or it is disabled. ` +
      `Enable it by visiting ${url} then retry. If you enabled this API recently, wait a few minutes for ` +
      'the action to propagate to our systems and retry.',
    [
      { '@type': type('Help'), links: [{ description: 'Google developers console API activation', url }] },
      errorInfo('SERVICE_DISABLED', { service, consumer: `projects/${projectNumber}` }),
    ],
  );
}

export const fileNotYours = (file: string) =>
  errorBody(
    403,
    'PERMISSION_DENIED',
    `You do not have permission to access the File ${file} or it may not exist.`,
  );

export function modelNotFound(model: string, version: string, method: string): WireErrorBody {
  const message =
    `models/${model} is not found for API version ${version}, or is not supported for ${method}. ` +
    'Call ListModels to see the list of available models and their supported methods.';
  return errorBody(404, 'NOT_FOUND', message, [
    {
      '@type': type('DebugInfo'),
      detail: `[ORIGINAL ERROR] generic::not_found: ${message} [google.rpc.error_details_ext] { message: "${message}" }`,
    },
    { '@type': type('DebugInfo'), detail: message },
  ]);
}

export const payloadTooLarge = (maxBytes: number) =>
  invalidArgument(`Request payload size exceeds the limit: ${maxBytes} bytes.`);

export const tooManyTokens = (tokens: number, maxTokens: number) =>
  invalidArgument(
    `The input token count (${tokens}) exceeds the maximum number of tokens allowed (${maxTokens}).`,
  );

export const rateLimitBare = () =>
  errorBody(429, 'RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).');

/** Made up: no reply of this kind has been published. Only its words tell it from other limits. */
export const spendLimit = () =>
  errorBody(
    429,
    'RESOURCE_EXHAUSTED',
    'You exceeded the spend-based rate limit of your usage tier, which is measured over a rolling window of ' +
      `10 minutes. Please try again later. For more information, head to: ${rateLimitsUrl}.`,
  );

export const corruptedSignature = () => invalidArgument('Corrupted thought signature.');

export const invalidSignature = () => invalidArgument('Invalid thought signature');

export const internal = () => errorBody(500, 'INTERNAL', 'Internal error encountered.');

export const overloaded = () =>
  errorBody(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.');

export const deadline = () =>
  errorBody(504, 'DEADLINE_EXCEEDED', 'Deadline expired before operation could complete.');

/** The names of one quota: its metric without the service, and its id. */
function quotaNames(
  quota: QuotaViolation['quota'],
  tier: 'free' | 'paid',
): { metric: string; quotaId: string } {
  if (tier === 'free')
    return {
      rpm: {
        metric: 'generate_content_free_tier_requests',
        quotaId: 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier',
      },
      tpm: {
        metric: 'generate_content_free_tier_input_token_count',
        quotaId: 'GenerateContentInputTokensPerModelPerMinute-FreeTier',
      },
      rpd: {
        metric: 'generate_content_free_tier_requests',
        quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier',
      },
    }[quota];
  return {
    rpm: { metric: 'generate_requests_per_model', quotaId: 'GenerateRequestsPerMinutePerProjectPerModel' },
    tpm: {
      metric: 'generate_content_paid_tier_input_token_count',
      quotaId: 'GenerateContentPaidTierInputTokensPerModelPerMinute',
    },
    rpd: {
      metric: 'generate_requests_per_model_per_day',
      quotaId: 'GenerateRequestsPerDayPerProjectPerModel',
    },
  }[quota];
}

/**
 * A 429 with all details of Gemini's: metric, quota id, dimensions, the limit itself, and a delay that is
 * exact in the message but truncated to whole seconds in `RetryInfo`.
 */
export function quotaExceeded(
  violations: readonly QuotaViolation[],
  model: string,
  tier: 'free' | 'paid' = 'free',
): WireErrorBody {
  const waitSeconds = Math.max(0, ...violations.map(({ waitMs }) => waitMs)) / 1000;
  const named = violations.map((violation) => ({ ...violation, ...quotaNames(violation.quota, tier) }));
  const lines = named.map(
    ({ metric, limit }) =>
      `* Quota exceeded for metric: ${service}/${metric}, limit: ${limit}, model: ${model}\n`,
  );
  return errorBody(
    429,
    'RESOURCE_EXHAUSTED',
    'You exceeded your current quota, please check your plan and billing details. For more information ' +
      `on this error, head to: ${rateLimitsUrl}. To monitor your current usage, head to: ` +
      `https://ai.dev/rate-limit. \n${lines.join('')}Please retry in ${waitSeconds.toFixed(9)}s.`,
    [
      {
        '@type': type('QuotaFailure'),
        violations: named.map(({ metric, quotaId, limit }) => ({
          quotaMetric: `${service}/${metric}`,
          quotaId,
          quotaDimensions: { location: 'global', model },
          quotaValue: String(limit),
        })),
      },
      {
        '@type': type('Help'),
        links: [{ description: 'Learn more about Gemini API quotas', url: rateLimitsUrl }],
      },
      { '@type': type('RetryInfo'), retryDelay: `${Math.floor(waitSeconds)}s` },
    ],
  );
}
