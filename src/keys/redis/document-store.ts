import { type Clock, wallAheadMs } from '../../core/clock.js';
import { type RedisClient, type ScriptRunner, scriptRunner } from './redis-client.js';

/** What was learned of a quota outlives a weekend without calls. */
const documentTtlMs = 3 * 24 * 3_600_000;

/** Smaller differences of time come from the way to Redis. */
const clockToleranceMs = 1_000;
const recentMs = 10_000;

/** What a process says of the time of the ledger. */
export interface LedgerTime {
  readonly at: number;
  readonly aheadOfDateMs?: number | undefined;
}

/** How long the process whose turn it is may take, at least and at most. */
const turnMs = { least: 50, most: 1_000 };

/**
 * Compares and sets several documents at once. KEYS: their hashes. ARGV: the new version, the time to live,
 * the process, how long its turn lasts, and for each document the version that the caller knows, the number
 * of fields to set, and their names and values; an empty value removes the field. Nothing is set if any
 * version differs. Then it is the caller's turn, unless it is that of another one: until that has written, or
 * its time is over, nobody else writes. Else many processes would outdate one another for ever. The reply
 * holds what came of it (1 all is set, 0 the caller's turn, -1 the turn of another), the time, and the
 * documents whose version differs.
 */
const swap = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = { 1, now }
local process, last = ARGV[3], KEYS[#KEYS]
local ends, holder = string.match(redis.call('HGET', last, 'turn') or '', '^(%d+) (.+)$')
local isOthers = ends and tonumber(ends) > now and holder ~= process
local place, firsts, writes = 5, {}, false
for i, key in ipairs(KEYS) do
  firsts[i] = place
  local count = tonumber(ARGV[place + 1])
  writes = writes or count > 0
  if (redis.call('HGET', key, 'version') or '') == ARGV[place] then
    reply[i + 2] = {}
  else
    reply[1] = 0
    reply[i + 2] = redis.call('HGETALL', key)
    if #reply[i + 2] == 0 then reply[i + 2] = { 'version', '' } end
  end
  place = place + 2 + 2 * count
end
if writes and isOthers then
  reply[1] = -1
elseif writes and reply[1] == 0 then
  redis.call('HSET', last, 'turn', string.format('%.0f ', now + ARGV[4]) .. process)
  redis.call('PEXPIRE', last, ARGV[2])
end
if reply[1] ~= 1 then return reply end
if holder == process then redis.call('HDEL', last, 'turn') end
for i, key in ipairs(KEYS) do
  local first = firsts[i]
  local count = tonumber(ARGV[first + 1])
  for field = 1, count do
    local name, value = ARGV[first + 2 * field], ARGV[first + 2 * field + 1]
    if value == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, value) end
  end
  if count > 0 then
    redis.call('HSET', key, 'version', ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
return reply
`;

/** One hash in Redis, as this process last saw it. */
export class LedgerDocument {
  readonly name: string;
  version = '';
  fields: ReadonlyMap<string, string> = new Map();
  /** Which creation of the hash this is. */
  origin = '';
  /** What was read before Redis lost it, until it is written again. */
  lost: ReadonlyMap<string, string> | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** Fields to set; an empty value removes one. */
export type Changes = ReadonlyMap<string, string>;

export interface SwapOptions {
  readonly timeoutMs: number;
  /** Called with the result of a request that was given up after the timeout. */
  readonly onLate?: (isSet: boolean) => void;
}

export type SwapResult = 'set' | 'turn' | 'busy';

/** Redis does not answer, or answers too late. */
export class LedgerUnavailable extends Error {}

/** Reads and writes documents in Redis. The policy is elsewhere. */
export class DocumentStore {
  readonly #run: ScriptRunner;
  readonly #clock: Clock;
  readonly #process: string;
  #writes = 0;
  #offsetMs: number | undefined;
  #redisAheadMs = 0;
  #hasFollowed = false;
  readonly #isOwnTime: boolean;

  /** @param isOwnTime Whether `clock` is used instead of the time of Redis. */
  constructor(client: RedisClient, clock: Clock, process: string, isOwnTime: boolean) {
    this.#run = scriptRunner(client, swap);
    this.#clock = clock;
    this.#process = process;
    this.#isOwnTime = isOwnTime;
    if (isOwnTime) this.#offsetMs = 0;
  }

  /** By how much the time of the ledger is ahead of the clock; `undefined` before the first answer. */
  get offsetMs(): number | undefined {
    return this.#offsetMs;
  }

  /** By how much the time of the ledger is ahead of the date of Redis, whose clock may have been set. */
  get aheadOfDateMs(): number {
    if (this.#isOwnTime) return -wallAheadMs(this.#clock);
    return (this.#offsetMs ?? 0) - this.#redisAheadMs;
  }

  /**
   * Takes over the time of the other processes by the latest report of one: on the first contact, and later
   * if the own time is behind. So the ledger keeps its time while any process lives, and never goes back.
   */
  follow({ aheadOfDateMs = 0, at }: LedgerTime): void {
    if (this.#isOwnTime || this.#offsetMs === undefined) return;
    const now = this.#clock.now();
    const offsetMs = this.#redisAheadMs + aheadOfDateMs;
    const ageMs = now + offsetMs - at;
    // Else that process has ended, or the clock of Redis was set since.
    const isRecent = ageMs > -clockToleranceMs && ageMs < recentMs;
    const changeMs = (isRecent ? offsetMs : at - now) - this.#offsetMs;
    const isFirst = isRecent && !this.#hasFollowed;
    if (changeMs > clockToleranceMs || (isFirst && changeMs < -clockToleranceMs)) this.#offsetMs += changeMs;
    this.#hasFollowed = true;
  }

  /**
   * Sets the fields if nobody has changed the documents since they were read. If somebody has, sets nothing,
   * updates the documents: it is the turn of this process to write, or of another one (`busy`).
   *
   * @throws LedgerUnavailable
   */
  async swap(
    writes: ReadonlyMap<LedgerDocument, Changes>,
    { onLate, timeoutMs }: SwapOptions,
  ): Promise<SwapResult> {
    this.#writes += 1;
    const version = `${this.#process}.${this.#writes}`;
    const mayTakeMs = Math.min(turnMs.most, Math.max(turnMs.least, timeoutMs));
    const parameters = [version, String(documentTtlMs), this.#process, String(mayTakeMs)];
    for (const [document, changes] of writes) {
      const isNew = document.version === '' && changes.size > 0;
      parameters.push(document.version, String(changes.size + (isNew ? 1 : 0)));
      for (const change of changes) parameters.push(...change);
      if (isNew) parameters.push('origin', version);
    }
    const names = [...writes.keys()].map(({ name }) => name);
    const sentAt = this.#clock.now();
    const reply = await this.#inTime(this.#run(names, parameters), timeoutMs, onLate);
    this.#redisAheadMs = Math.round(Number(reply[1]) - (sentAt + this.#clock.now()) / 2);
    this.#offsetMs ??= this.#redisAheadMs;
    if (reply[0] === 1) {
      for (const [document, changes] of writes) confirm(document, changes, version);
      return 'set';
    }
    for (const [place, document] of [...writes.keys()].entries())
      refresh(document, reply[place + 2] as string[]);
    return reply[0] === 0 ? 'turn' : 'busy';
  }

  async #inTime(
    answer: Promise<unknown>,
    timeoutMs: number,
    onLate: SwapOptions['onLate'],
  ): Promise<unknown[]> {
    let isLate = false;
    let timer: unknown;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.setTimeout(() => {
        isLate = true;
        reject(new LedgerUnavailable(`Redis did not answer within ${timeoutMs} ms.`));
      }, timeoutMs);
    });
    const ended = answer.then(
      (reply) => {
        if (isLate) onLate?.((reply as unknown[])[0] === 1);
        return reply as unknown[];
      },
      (error: unknown) => {
        if (isLate) onLate?.(false);
        const reason = error instanceof Error ? error.message : String(error);
        throw new LedgerUnavailable(`Redis failed: ${reason}`, { cause: error });
      },
    );
    // A failure after the timeout was reported by `onLate`.
    ended.catch(() => undefined);
    try {
      return await Promise.race([ended, late]);
    } finally {
      this.#clock.clearTimeout(timer);
    }
  }
}

function confirm(document: LedgerDocument, changes: Changes, version: string): void {
  if (changes.size === 0) return;
  if (document.version === '') document.origin = version;
  document.version = version;
  const fields = new Map(document.fields);
  for (const [name, value] of changes) {
    if (value === '') fields.delete(name);
    else fields.set(name, value);
  }
  document.fields = fields;
}

/** @param reply All fields of the document; empty if nobody has changed it. */
function refresh(document: LedgerDocument, reply: readonly string[]): void {
  if (reply.length === 0) return;
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(reply[i] ?? '', reply[i + 1] ?? '');
  const origin = fields.get('origin') ?? '';
  if (document.origin !== '' && origin !== document.origin) document.lost ??= document.fields;
  document.origin = origin;
  document.version = fields.get('version') ?? '';
  fields.delete('version');
  fields.delete('origin');
  fields.delete('turn');
  document.fields = fields;
}
