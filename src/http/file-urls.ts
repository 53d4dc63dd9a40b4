import type { ConversationName, Reply } from '../index.js';
import type { ServedChat } from './served-chat.js';

/** Paths of generated files, by fingerprint. */
export type FileUrls = ReadonlyMap<string, string>;

/**
 * The paths of those files of a reply that can be fetched, which needs memory and a media archive. `mount` is
 * the prefix of all routes.
 */
export async function fetchableFiles(
  chat: ServedChat,
  { tenant, sessionId }: Required<ConversationName>,
  reply: Reply,
  mount: string,
): Promise<FileUrls> {
  const urls = new Map<string, string>();
  for (const { fingerprint } of reply.files) {
    if ((await chat.file?.({ tenant, sessionId, fingerprint })) === undefined) continue;
    urls.set(fingerprint, `${mount}/sessions/${encodeURIComponent(sessionId)}/files/${fingerprint}`);
  }
  return urls;
}
