import { regainedFirst, regainedSquared } from '../adaptive-limit.js';
import { modelProbeMs } from '../model-breaker.js';
import { keyProbeMs } from '../pooled-key.js';
import { firstInFlight, initialMarginMs, refusalArrivesWithinMs } from '../unit.js';

/** How many keys of Redis stand before those of the units, and how many each unit has. */
const sharedKeys = 4;
const keysPerUnit = 4;

/** What a unit has learned outlives a quiet weekend; a key that is out for good is tried again after this. */
const unitTtlMs = 3 * 24 * 3_600_000;
const gatesTtlMs = 7 * 24 * 3_600_000;

/**
 * The rules of the scheduler in Lua, for the state that several processes share: the counterparts of
 * `SlidingLog`, `AdaptiveLimit`, `Gate` and `Unit`, with their figures. Every script begins with it.
 *
 * KEYS: epoch, gates, processes, consumers, then of each unit its state, log, tokens and running calls.
 * ARGV: the units (JSON), the request (JSON).
 */
export const ledgerLua = `
local forever = 9e14
local config = cjson.decode(ARGV[1])
local request = cjson.decode(ARGV[2])
local now = request.now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local epoch = redis.call('GET', KEYS[1])

local gates = {}
local function readGates()
  local raw = redis.call('HGETALL', KEYS[2])
  for i = 1, #raw, 2 do gates[raw[i]] = cjson.decode(raw[i + 1]) end
end
local function writeGate(id, gate)
  gates[id] = gate
  if gate then
    redis.call('HSET', KEYS[2], id, cjson.encode(gate))
    redis.call('PEXPIRE', KEYS[2], ${gatesTtlMs})
  else
    redis.call('HDEL', KEYS[2], id)
  end
end
local function opensAt(gate, probeMs)
  if not gate then return 0 end
  if now < gate.shut or not gate.probed then return gate.shut end
  return gate.probed + probeMs
end
local function isProbe(gate, at) return gate and at >= gate.shut end
local function keyAt(id) return opensAt(gates[id], ${keyProbeMs}) end
local function modelAt(id) return opensAt(gates[id], ${modelProbeMs}) end

local function nominal(limit, configured)
  return math.min(configured or math.huge, limit.learned or math.huge)
end
local function regained(minutes) return ${regainedFirst} * minutes + ${regainedSquared} * minutes * minutes end
local function usable(limit, configured)
  local most = nominal(limit, configured)
  local minutes = math.max(0, now - (limit.cutAt or 0)) / 60000
  if most == 0 then return 0 end
  if most < math.huge then
    local share = limit.share or 1
    if share >= 1 then return most end
    return math.max(1, math.floor(most * math.min(1, share + regained(minutes))))
  end
  if not limit.estimate then return math.huge end
  return math.floor(limit.estimate * (1 + regained(minutes)) + minutes)
end
local function origin(limit, configured)
  if (limit.learned or math.huge) < (configured or math.huge) then return 'learned' end
  if configured then return 'configured' end
  return limit.estimate and 'estimated' or 'unknown'
end

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
    config = config.units[i],
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
  local isKnown = origin(state.rpm, unit.config.rpm) ~= 'unknown' and origin(state.tpm, unit.config.tpm) ~= 'unknown'
  unit.cap = unit.config.max
  if not isKnown or now < (state.distrust or 0) then unit.cap = math.min(state.cap, unit.config.max) end
  return unit
end
local function openUnits()
  local names, units = {}, {}
  for i in ipairs(config.units) do names[i] = KEYS[${sharedKeys} + (i - 1) * ${keysPerUnit} + 1] end
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

local function dayAt(unit) return unit.state.day < unit.rpd and 0 or unit.state.dayEnd end
local function passableAt(unit)
  local keysAt = math.huge
  for _, id in ipairs(unit.config.keys) do keysAt = math.min(keysAt, keyAt(id)) end
  return math.max(
    keysAt, keyAt(unit.config.project), opensAt(unit.state.gate, ${refusalArrivesWithinMs}), dayAt(unit))
end
local function windowAt(unit, tokens)
  if unit.rpm < 1 then return forever end
  local at = now
  local window = unit.state.window
  local over = unit.state.requests + 1 - unit.rpm
  if over > 0 then
    local entry = redis.call('ZRANGE', unit.log, over - 1, over - 1, 'WITHSCORES')
    if entry[2] then at = math.max(at, tonumber(entry[2]) + window) end
  end
  local excess = unit.state.tokens + math.min(tokens, unit.tpm) - unit.tpm
  local from = 0
  while excess > 0 do
    local entries = redis.call('ZRANGE', unit.log, from, from + 63, 'WITHSCORES')
    if #entries == 0 then break end
    for i = 1, #entries, 2 do
      excess = excess - (tonumber(redis.call('HGET', unit.costs, entries[i])) or 0)
      at = math.max(at, tonumber(entries[i + 1]) + window)
      if excess <= 0 then break end
    end
    from = from + 64
  end
  return at
end
local function freeAt(unit, tokens) return math.max(passableAt(unit), windowAt(unit, tokens)) end
local function slack(unit)
  local least = 1 - unit.state.running / unit.cap
  if unit.rpm < math.huge then least = math.min(least, 1 - unit.state.requests / unit.rpm) end
  if unit.tpm < math.huge then least = math.min(least, 1 - unit.state.tokens / unit.tpm) end
  if unit.rpd < math.huge then least = math.min(least, 1 - unit.state.day / unit.rpd) end
  return least
end

-- Infinity has no JSON: it is -1.
local function finite(number) return number < forever and number or -1 end
local function after(at) return at < forever and math.max(0, math.ceil(at - now)) or -1 end
local function viewOfGate(gate) return { after = gate.shut < forever and gate.shut - now or -1, why = gate.why, strikes = gate.strikes } end
local function viewOfLimit(limit, configured)
  return { value = finite(usable(limit, configured)), origin = origin(limit, configured), learned = limit.learned }
end
local function views(units)
  local all = {}
  for i, unit in ipairs(units) do
    local state = unit.state
    all[i] = {
      requests = unit.state.requests, tokens = state.tokens, inFlight = unit.state.running, day = state.day, window = state.window,
      rpm = viewOfLimit(state.rpm, unit.config.rpm), tpm = viewOfLimit(state.tpm, unit.config.tpm),
      rpd = viewOfLimit(state.rpd, unit.config.rpd),
      passableAfter = after(passableAt(unit)), freeAfter = after(freeAt(unit, 0)),
      gate = state.gate and viewOfGate(state.gate) or nil,
    }
  end
  return all
end
local function viewsOfGates()
  local all = {}
  for id, gate in pairs(gates) do all[id] = viewOfGate(gate) end
  return all
end
`;
