import { createHash } from 'node:crypto';
import type { ResolvedHandlerOptions } from './handler-options.js';
import type { HttpRequest, HttpResponse } from './http-messages.js';
import { acceptedTypes } from './negotiate.js';
import { respond, respondWithJson } from './respond.js';

const inlineScript = /<script(?:\s[^>]*)?>([\s\S]*?)<\/script\s*>/gi;

/** Answers `GET /`: the page for browsers, the status as JSON for other clients. */
export async function home(
  request: HttpRequest,
  { page, notice }: ResolvedHandlerOptions,
): Promise<HttpResponse> {
  const status = { status: 'ok', message: 'Service is running', notice };
  if (page === undefined) return respondWithJson(status);
  const headers = { vary: 'Accept' };
  const [best] = acceptedTypes(request.headers.get('accept'), ['application/json', 'text/html']);
  if (best !== 'text/html') return respondWithJson(status, { headers });
  const { pathname, search } = new URL(request.url);
  if (!pathname.endsWith('/')) {
    // The page's relative URLs need the slash; a relative target works behind proxies that strip a prefix.
    const location = `./${pathname.slice(pathname.lastIndexOf('/') + 1)}/${search}`;
    return respond(null, undefined, { status: 308, headers: { ...headers, location } });
  }
  const html = await page();
  return respond(html, 'text/html; charset=utf-8', {
    headers: {
      ...headers,
      'content-security-policy': contentSecurityPolicy(html),
      'referrer-policy': 'no-referrer',
    },
  });
}

/** Allows the page's own inline scripts, by their digests, and no injected ones. */
function contentSecurityPolicy(html: string): string {
  const digests = [...html.matchAll(inlineScript)].map(
    ([, code = '']) =>
      `'sha256-${createHash('sha256').update(code.replaceAll('\r\n', '\n')).digest('base64')}'`,
  );
  return [
    "default-src 'none'",
    `script-src ${["'self'", ...digests].join(' ')}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
