import type { Emitter } from '../core/emitter.js';
import type { KeyPool } from '../keys/key-pool.js';
import type { MediaProcessor } from '../media/media-processor.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import type { ChatEvents } from './chat-events.js';
import type { ModelRoutes } from './model-routes.js';
import type { PlainHistory } from './plain-history.js';
import type { TurnSettings } from './turn-request.js';

/** Is told whether turns can be stored. */
interface MemoryWatcher {
  worked(): void;
  failed(error: Error): void;
}

/** What a turn works with. */
export interface TurnDeps {
  /** Absent if no model needs a key. */
  readonly keyPool: KeyPool | undefined;
  readonly media: MediaProcessor;
  readonly memory: MemoryStore | undefined;
  readonly archive: MediaArchive | undefined;
  readonly retry: RetryPolicy;
  readonly models: ModelRoutes;
  readonly plainHistory: PlainHistory;
  readonly memoryHealth: MemoryWatcher;
  readonly events: Emitter<ChatEvents>;
  readonly settings: TurnSettings;
}
