import type { RedisClient } from 'multimodal-chat/redis';
import type { VirtualClock } from 'multimodal-chat/testing';

/** A client whose commands take no virtual time. */
export function standStill(client: RedisClient, clock: VirtualClock): RedisClient {
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (!['evalSha', 'evalsha', 'eval'].includes(String(name))) return value.bind(target);
      return (...parameters: unknown[]) => clock.hold(value.apply(target, parameters) as Promise<unknown>);
    },
  });
}
