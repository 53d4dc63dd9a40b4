import type { MediaArchive } from '../memory/media-archive.js';
import type { ForgetTarget, MemoryStore } from '../memory/memory-store.js';
import { forgetMediaOf } from '../turn/unnamed-media.js';

/** Removes turns with their media. The media go first: after a failure the turns still say what is left to remove. */
export async function forgetTurns(
  memory: MemoryStore,
  archive: MediaArchive | undefined,
  target: ForgetTarget,
): Promise<number> {
  if (archive === undefined) return memory.forget(target);
  if (target.turnId === undefined) {
    await archive.forget(target);
    return memory.forget(target);
  }
  const turns = await memory.recent(target, { limit: Number.MAX_SAFE_INTEGER });
  const gone = turns.find(({ id }) => id === target.turnId);
  const others = turns.filter((turn) => turn !== gone);
  if (gone !== undefined) await forgetMediaOf(archive, target, gone, others);
  return memory.forget(target);
}
