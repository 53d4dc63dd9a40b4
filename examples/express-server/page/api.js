// The calls to the server, with errors as sentences.

import { load, save } from './dom.js';
import { readEventStream } from './event-stream.js';

export class ApiError extends Error {
  constructor(message, { status, code, retryAfterMs } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** URLs are relative, since the page may be mounted below a prefix. */
const address = (path) => new URL(path, document.baseURI.replace(/[^/]*$/, '')).href;

let token = load('token', '');
export const hasToken = () => token !== '';

export function setToken(value) {
  token = value;
  save('token', value);
}

async function call(path, options = {}) {
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...options.headers };
  let response;
  try {
    response = await fetch(address(path), { ...options, headers });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(
      navigator.onLine ? 'The server cannot be reached. Is it still running?' : 'This device is offline.',
    );
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const { status } = response;
  const body = await response.json().catch(() => ({}));
  const sentence = body.detail ?? body.error?.message ?? `The server answered with status ${status}.`;
  return new ApiError(sentence, { status, code: body.error?.code, retryAfterMs: body.error?.retry_after_ms });
}

/** Asks a question and passes every event of the answer to `onEvent`. */
export function infer({ prompt, sessionId, files, signal, onEvent }) {
  const body = new FormData();
  body.append('prompt', prompt);
  body.append('session_id', sessionId);
  for (const file of files) body.append('video_file', file, file.name);
  return readAnswer('infer', { body, signal }, onEvent);
}

/** Goes on with an answer once its calls are decided; otherwise as `infer`. */
export function resume({ sessionId, turnId, approvals, signal, onEvent }) {
  const body = JSON.stringify({ session_id: sessionId, turn_id: turnId, approvals });
  const headers = { 'content-type': 'application/json' };
  return readAnswer('infer/resume', { body, headers, signal }, onEvent);
}

async function readAnswer(path, { headers, ...options }, onEvent) {
  const accept = 'text/event-stream';
  const response = await call(path, { ...options, method: 'POST', headers: { ...headers, accept } });
  let finished = false;
  try {
    await readEventStream(response, ({ event, data }) => {
      const value = JSON.parse(data);
      if (event === 'error') {
        const { message, code, retry_after_ms: retryAfterMs } = value.error ?? {};
        throw new ApiError(value.detail ?? message ?? 'The answer failed.', { code, retryAfterMs });
      }
      if (event === 'done') finished = true;
      onEvent(event, value);
    });
  } catch (error) {
    if (error instanceof ApiError || error.name === 'AbortError') throw error;
    throw new ApiError('The connection broke off in the middle of the answer.');
  }
  if (!finished) throw new ApiError('The connection broke off in the middle of the answer.');
}

const sessionPath = (sessionId) => `sessions/${encodeURIComponent(sessionId)}`;

export async function readHistory(sessionId) {
  const response = await call(sessionPath(sessionId), { headers: { accept: 'application/json' } });
  return (await response.json()).turns ?? [];
}

/** The bytes of a file that the model made. */
export async function readFile(sessionId, fingerprint) {
  const response = await call(`${sessionPath(sessionId)}/files/${fingerprint}`);
  return response.arrayBuffer();
}

export async function forgetSession(sessionId) {
  await call(sessionPath(sessionId), { method: 'DELETE' });
}

export async function readStats() {
  const response = await call('stats', { headers: { accept: 'application/json' } });
  return response.json();
}
