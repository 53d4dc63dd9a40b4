import { createHash } from 'node:crypto';

/** The part of a client of the package `redis` (node-redis 5 or newer) that is used. Cluster and sentinel fit as well. */
export interface NodeRedisClient {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  off(event: 'error', listener: (error: unknown) => void): unknown;
}

/** The part of a client of the package `ioredis` that is used. Cluster fits as well. */
export interface IoRedisClient {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  off(event: 'error', listener: (error: unknown) => void): unknown;
}

/** A connected client. The caller closes it. */
export type RedisClient = NodeRedisClient | IoRedisClient;

export function isRedisClient(value: unknown): value is RedisClient {
  return isFunction(value, 'evalSha') || isFunction(value, 'evalsha');
}

/** A Lua script and its digest, by which Redis caches it. */
export class RedisScript {
  readonly source: string;
  readonly sha: string;

  constructor(source: string) {
    this.source = source;
    this.sha = createHash('sha1').update(source).digest('hex');
  }
}

/** Runs a script by its digest; by its source on first use and after Redis has flushed it. */
export type ScriptRunner = (
  script: RedisScript,
  keys: readonly string[],
  parameters: readonly string[],
) => Promise<unknown>;

export function scriptRunner(client: RedisClient): ScriptRunner {
  const [bySha, bySource] = commandsOf(client);
  const sent = new Set<RedisScript>();
  return async (script, keys, parameters) => {
    if (!sent.has(script)) {
      // A retry after a refused digest would let later commands overtake this one.
      sent.add(script);
      return bySource(script.source, keys, parameters);
    }
    try {
      return await bySha(script.sha, keys, parameters);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT')) throw error;
      return bySource(script.source, keys, parameters);
    }
  };
}

type Command = (script: string, keys: readonly string[], parameters: readonly string[]) => Promise<unknown>;

function commandsOf(client: RedisClient): readonly [bySha: Command, bySource: Command] {
  if (isFunction(client, 'evalSha')) {
    const node = client as NodeRedisClient;
    const options = (keys: readonly string[], parameters: readonly string[]) => ({
      keys: [...keys],
      arguments: [...parameters],
    });
    return [
      (sha, keys, parameters) => node.evalSha(sha, options(keys, parameters)),
      (source, keys, parameters) => node.eval(source, options(keys, parameters)),
    ];
  }
  const io = client as IoRedisClient;
  return [
    (sha, keys, parameters) => io.evalsha(sha, keys.length, ...keys, ...parameters),
    (source, keys, parameters) => io.eval(source, keys.length, ...keys, ...parameters),
  ];
}

function isFunction(client: unknown, name: string): boolean {
  return typeof (client as Record<string, unknown> | null | undefined)?.[name] === 'function';
}
