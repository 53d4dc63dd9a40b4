import { leewayMs } from '../quota/gcra-pace.js';
import { firstInFlight } from '../quota/in-flight-cap.js';
import { initialMarginMs } from '../quota/project-model-quota.js';

/** How many keys of Redis stand before those of the units, and how many each unit has. */
const sharedKeys = 4;
const keysPerUnit = 4;

/** What a unit has learned outlives a quiet weekend. */
const unitTtlMs = 3 * 24 * 3_600_000;

/** The counterparts of `SlidingLog`, `Pace` and `Unit`: what is booked on one model in one project. */
export const unitLua = `
-- Requests, tokens and running calls are counted in the state; the sets are read when something leaves them.
local function evict(unit)
  local state = unit.state
  if state.oldest and state.oldest + state.window <= now then
    local upTo = now - state.window
    while true do
      local gone = redis.call('ZRANGEBYSCORE', unit.log, '-inf', upTo, 'LIMIT', 0, 1000)
      if #gone == 0 then break end
      for _, cost in ipairs(redis.call('HMGET', unit.costs, unpack(gone))) do
        state.tokens = state.tokens - (tonumber(cost) or 0)
      end
      redis.call('HDEL', unit.costs, unpack(gone))
      redis.call('ZREM', unit.log, unpack(gone))
    end
    state.requests = redis.call('ZCARD', unit.log)
    if state.requests == 0 then state.tokens = 0 end
    state.oldest = tonumber(redis.call('ZRANGE', unit.log, 0, 0, 'WITHSCORES')[2])
    unit.dirty = true
  end
  if state.running > 0 and now >= state.leasedUntil then
    redis.call('ZREMRANGEBYSCORE', unit.running, '-inf', now)
    state.running = redis.call('ZCARD', unit.running)
    state.leasedUntil = tonumber(redis.call('ZRANGE', unit.running, 0, 0, 'WITHSCORES')[2])
    unit.dirty = true
  end
end
local function openUnit(i, raw)
  local first = ${sharedKeys} + (i - 1) * ${keysPerUnit}
  local unit = {
    place = i, config = config[i],
    key = KEYS[first + 1], log = KEYS[first + 2], costs = KEYS[first + 3], running = KEYS[first + 4],
  }
  unit.state = raw and cjson.decode(raw) or {
    requests = 0, tokens = 0, running = 0, day = 0, dayEnd = 0, cap = ${firstInFlight}, bare = 0,
    window = ${60_000 + initialMarginMs}, rpm = {}, tpm = {}, rpd = {},
  }
  local state = unit.state
  if now >= state.dayEnd then
    state.dayEnd = request.dayEnd
    state.day = 0
  end
  evict(unit)
  unit.rpm = usable(state.rpm, unit.config.rpm)
  unit.tpm = usable(state.tpm, unit.config.tpm)
  unit.rpd = usable(state.rpd, unit.config.rpd)
  unit.cap = unit.config.max
  local isKnown = origin(state.rpm, unit.config.rpm) ~= 'unknown' and origin(state.tpm, unit.config.tpm) ~= 'unknown'
  if not isKnown or now < (state.distrust or 0) then unit.cap = math.min(state.cap, unit.config.max) end
  return unit
end
local function openUnits()
  local names, units = {}, {}
  for i in ipairs(config) do names[i] = KEYS[${sharedKeys} + (i - 1) * ${keysPerUnit} + 1] end
  if #names == 0 then return units end
  local raw = redis.call('MGET', unpack(names))
  for i in ipairs(names) do units[i] = openUnit(i, raw[i]) end
  return units
end
local function saveUnit(unit)
  if not unit.dirty then return end
  local state = unit.state
  if (state.kept or 0) < now + state.window then
    state.kept = now + 2 * state.window
    for _, key in ipairs({ unit.log, unit.costs }) do redis.call('PEXPIRE', key, 3 * state.window) end
  end
  redis.call('SET', unit.key, cjson.encode(state), 'PX', ${unitTtlMs})
end
local function lease(unit, id, ms)
  unit.state.running = unit.state.running + redis.call('ZADD', unit.running, now + ms, id)
  unit.state.leasedUntil = math.min(unit.state.leasedUntil or math.huge, now + ms)
  if unit.state.running == 1 then redis.call('PEXPIRE', unit.running, 100 * ms) end
  unit.dirty = true
end
local function unlease(unit, id)
  unit.state.running = math.max(0, unit.state.running - redis.call('ZREM', unit.running, id))
  unit.dirty = true
end
-- Charges one call. Returns whether it was not charged before.
local function charge(unit, id, at, tokens)
  local state = unit.state
  local isNew = redis.call('ZADD', unit.log, 'NX', at, id) == 1
  local charged = not isNew and tonumber(redis.call('HGET', unit.costs, id)) or 0
  redis.call('HSET', unit.costs, id, tokens)
  state.tokens = state.tokens + tokens - charged
  if isNew then
    state.requests = state.requests + 1
    state.oldest = math.min(state.oldest or at, at)
    state.opened = state.opened or now
    if state.requests == 1 then state.kept = 0 end
  end
  unit.dirty = true
  return isNew
end

-- Moves on when the next call may start that keeps the even pace.
local function movePace(unit, requests, tokens)
  local state = unit.state
  local function timeOf(amount, limit) return limit >= 1 and state.window * amount / limit or 0 end
  state.requestsAt = math.floor((state.requestsAt or 0) + timeOf(requests, unit.rpm))
  state.tokensAt = math.floor((state.tokensAt or 0) + timeOf(tokens, unit.tpm))
end
local function bookPace(unit, tokens)
  local state = unit.state
  state.requestsAt = math.max(state.requestsAt or 0, now - ${leewayMs})
  state.tokensAt = math.max(state.tokensAt or 0, now - ${leewayMs})
  movePace(unit, 1, tokens)
end
local function paceAt(unit)
  local state = unit.state
  if origin(state.rpm, unit.config.rpm) == 'estimated' or now < (state.distrust or 0) then return 0 end
  return math.max(state.requestsAt or 0, state.tokensAt or 0)
end
`;
