/** Those who follow one signal, and the one listener that tells them. */
interface Following {
  readonly followers: Set<(reason: unknown) => void>;
  readonly tell: () => void;
}

const followed = new WeakMap<AbortSignal, Following>();

/**
 * Calls `follower` with the reason when `signal` aborts, at once when it has. However many follow the
 * same signal, it has one listener: many calls under one signal, or one with many attachments, are no
 * leak to be warned of.
 *
 * @returns what ends the following.
 */
export function followSignal(signal: AbortSignal, follower: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    follower(signal.reason);
    return () => undefined;
  }
  const following = followed.get(signal) ?? listenTo(signal);
  following.followers.add(follower);
  return () => {
    following.followers.delete(follower);
    if (following.followers.size > 0 || followed.get(signal) !== following) return;
    signal.removeEventListener('abort', following.tell);
    followed.delete(signal);
  };
}

function listenTo(signal: AbortSignal): Following {
  const followers: Following['followers'] = new Set();
  const tell = () => {
    followed.delete(signal);
    for (const follower of followers) follower(signal.reason);
  };
  const following: Following = { followers, tell };
  followed.set(signal, following);
  signal.addEventListener('abort', tell, { once: true });
  return following;
}
