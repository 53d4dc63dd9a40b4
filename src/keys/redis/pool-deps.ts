import type { Clock } from '../../core/clock.js';
import type { KeyMirror } from './key-mirror.js';
import type { PeerProcesses } from './peer-processes.js';

/** What the parts of a `RedisKeyPool` share. */
export interface PoolDeps {
  readonly mirror: KeyMirror;
  readonly peers: PeerProcesses;
  readonly clock: Clock;
}
