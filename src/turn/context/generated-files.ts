import { audioTokens, imageTokens } from '../../core/media-tokens.js';
import type { FilePart, MessageOrigin } from '../../core/message.js';
import type { Turn } from '../../core/turn.js';
import type { DataPart } from '../../model/chat-model.js';

/** The least that sound is compressed to, so that its length is not underestimated. */
const fewestAudioBytesPerMs = 16;

/** Estimated input tokens of a generated file that is sent back. */
export function estimateFileTokens(mimeType: string, bytes: number): number {
  return mimeType.startsWith('audio/') ? audioTokens(bytes / fewestAudioBytesPerMs) : imageTokens();
}

/** Files in answers of this model, latest first, each once. */
export function filesOf(turns: readonly Turn[], { model, provider }: MessageOrigin): readonly FilePart[] {
  const messages = turns.flatMap((turn) => turn.messages);
  const own = messages.filter(({ origin }) => origin?.provider === provider && origin.model === model);
  const files = own.flatMap(({ parts }) => parts.filter((part) => part.type === 'file')).reverse();
  const seen = new Set<string>();
  return files.filter(({ fingerprint }) => !seen.has(fingerprint) && seen.add(fingerprint));
}

/** The files that fit, the first ones preferred. Metadata counts in bytes: a signature may be as large as its picture. */
export function fitFiles(
  files: readonly FilePart[],
  { maxBytes, maxTokens }: { readonly maxBytes: number; readonly maxTokens: number },
): readonly FilePart[] {
  let bytesLeft = maxBytes;
  let tokensLeft = maxTokens;
  return files.filter(({ bytes, mimeType, providerMetadata = {} }) => {
    const size = bytes + JSON.stringify(providerMetadata).length;
    const tokens = estimateFileTokens(mimeType, bytes);
    if (size > bytesLeft || tokens > tokensLeft) return false;
    bytesLeft -= size;
    tokensLeft -= tokens;
    return true;
  });
}

/** A file as it goes back. */
export function toDataPart({ mimeType, name, providerMetadata }: FilePart, data: Uint8Array): DataPart {
  return { type: 'data', mimeType, data, name, providerMetadata };
}
