import { leewayMs } from '../quota/gcra-pace.js';
import { firstInFlight } from '../quota/in-flight-cap.js';
import { initialMarginMs } from '../quota/project-model-quota.js';

/** Redis keys before those of the quotas, and Redis keys of each quota. */
const sharedKeys = 4;
const keysPerQuota = 4;

/** What was learned of a quota outlives a weekend without calls. */
const quotaTtlMs = 3 * 24 * 3_600_000;

/** The counterparts of `SlidingLog`, `GcraPace` and `ProjectModelQuota`. */
export const quotaLua = `
-- The state holds the counts of requests, tokens and running calls. The sets are read when entries leave them.
local function evict(quota)
  local state = quota.state
  if state.oldest and state.oldest + state.window <= now then
    local upTo = now - state.window
    while true do
      local gone = redis.call('ZRANGEBYSCORE', quota.log, '-inf', upTo, 'LIMIT', 0, 1000)
      if #gone == 0 then break end
      for _, cost in ipairs(redis.call('HMGET', quota.costs, unpack(gone))) do
        state.tokens = state.tokens - (tonumber(cost) or 0)
      end
      redis.call('HDEL', quota.costs, unpack(gone))
      redis.call('ZREM', quota.log, unpack(gone))
    end
    state.requests = redis.call('ZCARD', quota.log)
    if state.requests == 0 then state.tokens = 0 end
    state.oldest = tonumber(redis.call('ZRANGE', quota.log, 0, 0, 'WITHSCORES')[2])
    quota.dirty = true
  end
  if state.running > 0 and now >= state.leasedUntil then
    redis.call('ZREMRANGEBYSCORE', quota.running, '-inf', now)
    state.running = redis.call('ZCARD', quota.running)
    state.leasedUntil = tonumber(redis.call('ZRANGE', quota.running, 0, 0, 'WITHSCORES')[2])
    quota.dirty = true
  end
end
local function loadQuota(i, raw)
  local first = ${sharedKeys} + (i - 1) * ${keysPerQuota}
  local quota = {
    place = i, config = config[i],
    key = KEYS[first + 1], log = KEYS[first + 2], costs = KEYS[first + 3], running = KEYS[first + 4],
  }
  quota.state = raw and cjson.decode(raw) or {
    requests = 0, tokens = 0, running = 0, day = 0, dayEnd = 0, cap = ${firstInFlight}, bare = 0,
    window = ${60_000 + initialMarginMs}, rpm = {}, tpm = {}, rpd = {},
  }
  local state = quota.state
  if now >= state.dayEnd then
    state.dayEnd = request.dayEnd
    state.day = 0
  end
  evict(quota)
  quota.rpm = usable(state.rpm, quota.config.rpm)
  quota.tpm = usable(state.tpm, quota.config.tpm)
  quota.rpd = usable(state.rpd, quota.config.rpd)
  quota.cap = quota.config.max
  local isKnown = origin(state.rpm, quota.config.rpm) ~= 'unknown' and origin(state.tpm, quota.config.tpm) ~= 'unknown'
  if not isKnown or now < (state.distrust or 0) then quota.cap = math.min(state.cap, quota.config.max) end
  return quota
end
local function loadQuotas()
  local names, quotas = {}, {}
  for i in ipairs(config) do names[i] = KEYS[${sharedKeys} + (i - 1) * ${keysPerQuota} + 1] end
  if #names == 0 then return quotas end
  local raw = redis.call('MGET', unpack(names))
  for i in ipairs(names) do quotas[i] = loadQuota(i, raw[i]) end
  return quotas
end
local function saveQuota(quota)
  if not quota.dirty then return end
  local state = quota.state
  if (state.kept or 0) < now + state.window then
    state.kept = now + 2 * state.window
    for _, key in ipairs({ quota.log, quota.costs }) do redis.call('PEXPIRE', key, 3 * state.window) end
  end
  redis.call('SET', quota.key, cjson.encode(state), 'PX', ${quotaTtlMs})
end
local function lease(quota, id, ms)
  quota.state.running = quota.state.running + redis.call('ZADD', quota.running, now + ms, id)
  quota.state.leasedUntil = math.min(quota.state.leasedUntil or math.huge, now + ms)
  if quota.state.running == 1 then redis.call('PEXPIRE', quota.running, 100 * ms) end
  quota.dirty = true
end
local function unlease(quota, id)
  quota.state.running = math.max(0, quota.state.running - redis.call('ZREM', quota.running, id))
  quota.dirty = true
end
-- Charges one call. Returns false if it was charged before.
local function charge(quota, id, at, tokens)
  local state = quota.state
  local isNew = redis.call('ZADD', quota.log, 'NX', at, id) == 1
  local charged = not isNew and tonumber(redis.call('HGET', quota.costs, id)) or 0
  redis.call('HSET', quota.costs, id, tokens)
  state.tokens = state.tokens + tokens - charged
  if isNew then
    state.requests = state.requests + 1
    state.oldest = math.min(state.oldest or at, at)
    state.opened = state.opened or now
    if state.requests == 1 then state.kept = 0 end
  end
  quota.dirty = true
  return isNew
end

-- Moves the time at which the next paced call may start.
local function movePace(quota, requests, tokens)
  local state = quota.state
  local function timeOf(amount, limit) return limit >= 1 and state.window * amount / limit or 0 end
  state.requestsAt = math.floor((state.requestsAt or 0) + timeOf(requests, quota.rpm))
  state.tokensAt = math.floor((state.tokensAt or 0) + timeOf(tokens, quota.tpm))
end
local function bookPace(quota, tokens)
  local state = quota.state
  state.requestsAt = math.max(state.requestsAt or 0, now - ${leewayMs})
  state.tokensAt = math.max(state.tokensAt or 0, now - ${leewayMs})
  movePace(quota, 1, tokens)
end
local function paceAt(quota)
  local state = quota.state
  if origin(state.rpm, quota.config.rpm) == 'estimated' or now < (state.distrust or 0) then return 0 end
  return math.max(state.requestsAt or 0, state.tokensAt or 0)
end
`;
