import type { Conversation, Turn } from '../core/turn.js';
import type { MediaArchive } from '../memory/media-archive.js';

/** The fingerprints of the attachments and generated files of a turn. */
function fingerprintsOf({ media = [], messages }: Turn): readonly string[] {
  const named = messages.flatMap(({ parts }) =>
    parts.flatMap((part) => {
      if (part.type === 'file') return [part.fingerprint];
      if (part.type === 'media') return [part.media.fingerprint];
      return part.type === 'tool-result' ? (part.media ?? []).map(({ fingerprint }) => fingerprint) : [];
    }),
  );
  return [...media.map(({ fingerprint }) => fingerprint), ...named];
}

/** Deletes the archived media of a turn that goes, except those that other turns of the conversation name. */
export async function forgetMediaOf(
  archive: MediaArchive,
  conversation: Conversation,
  gone: Turn,
  others: readonly Turn[],
): Promise<void> {
  const named = new Set(others.flatMap(fingerprintsOf));
  const fingerprints = fingerprintsOf(gone).filter((fingerprint) => !named.has(fingerprint));
  if (fingerprints.length === 0) return;
  const { sessionId, tenant } = conversation;
  await archive.forget({ tenant, sessionId, fingerprints });
}
