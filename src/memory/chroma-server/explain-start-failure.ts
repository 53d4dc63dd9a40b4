import { MultimodalChatError } from '../../core/errors.js';

export type ChromaStartErrorReason = 'not-installed' | 'unsupported' | 'port-taken' | 'crashed' | 'timeout';

/**
 * A Chroma server could not be started. `code` is `CHROMA_START_` and the reason: `not-installed` (the
 * package `chromadb` or its native part is missing), `unsupported` (the native part does not run on
 * this system), `port-taken`, `crashed` (the message ends with its last output), `timeout`.
 */
export class ChromaStartError extends MultimodalChatError {
  override readonly name = 'ChromaStartError' as const;
  readonly reason: ChromaStartErrorReason;

  constructor(reason: ChromaStartErrorReason, message: string, options?: { cause?: unknown }) {
    super(`CHROMA_START_${reason.toUpperCase().replaceAll('-', '_')}`, message, options);
    this.reason = reason;
  }

  static override isInstance(value: unknown): value is ChromaStartError {
    return MultimodalChatError.isInstance(value) && value.name === 'ChromaStartError';
  }
}

const elsewhere =
  'Or run Chroma in its container ("docker run -p 8000:8000 chromadb/chroma") and set CHROMA_URL, or use the embedded store, which needs no server.';

/** Explanations by the server's output. First match wins. */
const explanations: readonly (readonly [
  RegExp,
  ChromaStartErrorReason,
  (system: string, port: number) => string,
])[] = [
  [
    /version `GLIBC_[\d.]+' not found/,
    'unsupported',
    (system) =>
      `The Chroma server that chromadb ships needs glibc 2.39 or newer; this system is ${system}. Use a newer system (Debian 13, Ubuntu 24.04). ${elsewhere}`,
  ],
  [
    /Cannot find module '?chromadb-js-bindings|Unsupported (platform|architecture|Windows architecture)/,
    'not-installed',
    (system) =>
      `The native part of chromadb is not installed; it exists for glibc Linux, macOS and Windows only, and this system is ${system}. Run "npm install chromadb" without --omit=optional. ${elsewhere}`,
  ],
  [
    /Address \S+ is not available|address already in use|EADDRINUSE/i,
    'port-taken',
    (_, port) => `Port ${port} is in use. Choose another one, or leave it out to have a free one picked.`,
  ],
];

/** Why a server ended while it was starting, by its last output on stderr. */
export function explainStartFailure(
  output: string,
  { system, port, exit }: { readonly system: string; readonly port: number; readonly exit: string },
): ChromaStartError {
  for (const [pattern, reason, explain] of explanations) {
    if (pattern.test(output)) return new ChromaStartError(reason, explain(system, port));
  }
  const words = output.trim();
  return new ChromaStartError(
    'crashed',
    `The Chroma server ended with ${exit} while it was starting. ${words === '' ? 'It wrote nothing to stderr.' : `It wrote last:\n${words}`}`,
  );
}
