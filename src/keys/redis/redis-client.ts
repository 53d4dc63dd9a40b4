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

/** Runs one script: by its digest, or by its source on first use and after Redis has flushed it. */
export type ScriptRunner = (keys: readonly string[], parameters: readonly string[]) => Promise<unknown>;

export function scriptRunner(client: RedisClient, source: string): ScriptRunner {
  const sha = createHash('sha1').update(source).digest('hex');
  const [bySha, bySource] = commandsOf(client);
  let isSent = false;
  return async (keys, parameters) => {
    // A retry after a refused digest would let later commands overtake this one.
    const isFirst = !isSent;
    isSent = true;
    if (isFirst) return bySource(source, keys, parameters);
    try {
      return await bySha(sha, keys, parameters);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('NOSCRIPT')) throw error;
      return bySource(source, keys, parameters);
    }
  };
}

type Command = (script: string, keys: readonly string[], parameters: readonly string[]) => Promise<unknown>;

function commandsOf(client: RedisClient): readonly [bySha: Command, bySource: Command] {
  if (isNodeRedis(client)) {
    const options = (keys: readonly string[], parameters: readonly string[]) => ({
      keys: [...keys],
      arguments: [...parameters],
    });
    return [
      (sha, keys, parameters) => client.evalSha(sha, options(keys, parameters)),
      (source, keys, parameters) => client.eval(source, options(keys, parameters)),
    ];
  }
  return [
    (sha, keys, parameters) => client.evalsha(sha, keys.length, ...keys, ...parameters),
    (source, keys, parameters) => client.eval(source, keys.length, ...keys, ...parameters),
  ];
}

const isNodeRedis = (client: RedisClient): client is NodeRedisClient => isFunction(client, 'evalSha');

function isFunction(client: unknown, name: string): boolean {
  return typeof (client as Record<string, unknown> | null | undefined)?.[name] === 'function';
}
