import { z } from 'zod';
import { ConfigurationError } from '../../core/errors.js';
import { nonBlank } from '../../core/parse-options.js';

const isHttpUrl = (text: string) => /^https?:\/\//i.test(text) && URL.canParse(text);

/** Options on where the service is, for the schema of each part that calls it. */
export const geminiEndpointShape = {
  baseUrl: z.string().refine(isHttpUrl, 'must be an http or https URL').optional(),
  apiVersion: nonBlank.optional(),
};

/** @throws ConfigurationError if `GOOGLE_GEMINI_BASE_URL` is not an http or https URL. */
export function baseUrlFromEnv(): string | undefined {
  const url = process.env.GOOGLE_GEMINI_BASE_URL?.trim() || undefined;
  if (url === undefined || isHttpUrl(url)) return url;
  throw new ConfigurationError(
    `GOOGLE_GEMINI_BASE_URL is "${url}", which is not an http or https URL. Correct or unset it.`,
  );
}
