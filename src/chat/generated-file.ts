import { createHash } from 'node:crypto';
import type { FilePart } from '../core/message.js';
import type { Conversation } from '../core/turn.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { GeneratedFile } from '../model/chat-model.js';

/** Most files that are asked for are of one of the last turns. */
const recentTurns = 50;
/** More than any conversation has. */
const everyTurn = Number.MAX_SAFE_INTEGER;

/**
 * A file that the model generated in a conversation, with its bytes from the archive. Undefined if the
 * conversation has no such file or its bytes were not kept. Attachments of the user are not files of the
 * model, though the archive keeps both.
 */
export async function readGeneratedFile(
  memory: MemoryStore,
  archive: MediaArchive,
  conversation: Conversation,
  fingerprint: string,
): Promise<GeneratedFile | undefined> {
  const data = await loadBytes(archive, conversation, fingerprint);
  const part = data && (await findFilePart(memory, conversation, fingerprint));
  return part && { mimeType: part.mimeType, name: part.name ?? 'file', fingerprint, data };
}

async function loadBytes(
  archive: MediaArchive,
  conversation: Conversation,
  fingerprint: string,
): Promise<Uint8Array | undefined> {
  for (const media of await archive.list(conversation)) {
    if (media.fingerprint !== fingerprint) continue;
    const [data] = (await archive.load(conversation, media.id)) ?? [];
    // An attachment of the user with the same source may be archived in another form.
    if (data && createHash('sha256').update(data).digest('hex') === fingerprint) return data;
  }
  return undefined;
}

async function findFilePart(
  memory: MemoryStore,
  conversation: Conversation,
  fingerprint: string,
): Promise<FilePart | undefined> {
  for (const limit of [recentTurns, everyTurn]) {
    const turns = await memory.recent(conversation, { limit });
    for (const part of turns.flatMap(({ messages }) => messages.flatMap(({ parts }) => parts))) {
      if (part.type === 'file' && part.fingerprint === fingerprint) return part;
    }
    if (turns.length < limit) return undefined;
  }
  return undefined;
}
