import { refusalArrivesWithinMs, refusalUsuallyTakesMs } from '../quota/project-model-quota.js';

/** When units are free, how much of them is left, and what of this the processes are told. */
export const outlookLua = `
local function dayAt(unit) return unit.state.day < unit.rpd and 0 or unit.state.dayEnd end
local function passableAt(unit)
  local at = math.max(opensAt(unit.state.gate, ${refusalArrivesWithinMs}), dayAt(unit))
  if next(gates) == nil then return unit.config.keys > 0 and at or math.huge end
  local keysAt = math.huge
  for n = 1, unit.config.keys do keysAt = math.min(keysAt, keyAt(unit, n)) end
  return math.max(at, keysAt, projectAt(unit))
end
-- When the oldest requests will have left the window, and the oldest calls with so many tokens. What a
-- script charges is the newest, so what was read of the oldest stays true to its end.
local function requestsLeaveAt(unit, count)
  local known = unit.requestsLeave
  if not known then known = {} unit.requestsLeave = known end
  if not known[count] then
    local entry = redis.call('ZRANGE', unit.log, count - 1, count - 1, 'WITHSCORES')
    known[count] = entry[2] and tonumber(entry[2]) + unit.state.window or now
  end
  return known[count]
end
local function tokensLeaveAt(unit, tokens)
  local known = unit.tokensLeave
  if not known then known = { sum = 0, count = 0, calls = {} } unit.tokensLeave = known end
  while known.sum < tokens do
    local entries = redis.call('ZRANGE', unit.log, known.count, known.count + 63, 'WITHSCORES')
    if #entries == 0 then break end
    local ids = {}
    for i = 1, #entries, 2 do ids[#ids + 1] = entries[i] end
    for i, cost in ipairs(redis.call('HMGET', unit.costs, unpack(ids))) do
      known.sum = known.sum + (tonumber(cost) or 0)
      known.calls[known.count + i] = { sum = known.sum, at = tonumber(entries[2 * i]) + unit.state.window }
    end
    known.count = known.count + #ids
  end
  local at = now
  for _, call in ipairs(known.calls) do
    at = call.at
    if call.sum >= tokens then break end
  end
  return at
end
local function windowAt(unit, tokens)
  if unit.rpm < 1 then return forever end
  local at = now
  local over = unit.state.requests + 1 - unit.rpm
  if over > 0 then at = math.max(at, requestsLeaveAt(unit, over)) end
  local excess = unit.state.tokens + math.min(tokens, unit.tpm) - unit.tpm
  if excess > 0 then at = math.max(at, tokensLeaveAt(unit, excess)) end
  return at
end
local function freeAt(unit, tokens) return math.max(passableAt(unit), windowAt(unit, tokens)) end
local function slack(unit)
  local least = 1 - unit.state.running / unit.cap
  local isUnknown = origin(unit.state.rpm, unit.config.rpm) == 'unknown' and origin(unit.state.tpm, unit.config.tpm) == 'unknown'
  -- What is sent before the first refusal has come back is refused too: rather try another unit first.
  if isUnknown and now < (unit.state.booked or 0) + ${refusalUsuallyTakesMs} then least = least - 1 end
  if unit.rpm < math.huge then least = math.min(least, 1 - unit.state.requests / unit.rpm) end
  if unit.tpm < math.huge then least = math.min(least, 1 - unit.state.tokens / unit.tpm) end
  if unit.rpd < math.huge then least = math.min(least, 1 - unit.state.day / unit.rpd) end
  return least
end

-- Infinity has no JSON: it is -1.
local function finite(number) return number < forever and number or -1 end
local function after(at) return at < forever and math.max(0, math.ceil(at - now)) or -1 end
local function viewOfGate(gate)
  return {
    after = gate.shut < forever and gate.shut - now or -1, why = gate.why, strikes = gate.strikes,
    lasted = gate.since and now - gate.since,
  }
end
local function viewOfLimit(limit, configured)
  return { value = finite(usable(limit, configured)), origin = origin(limit, configured), learned = limit.learned }
end
local function views(units)
  local all = {}
  for i, unit in ipairs(units) do
    local state = unit.state
    all[i] = {
      requests = state.requests, tokens = state.tokens, inFlight = state.running, day = state.day, window = state.window,
      rpm = viewOfLimit(state.rpm, unit.config.rpm), tpm = viewOfLimit(state.tpm, unit.config.tpm),
      rpd = viewOfLimit(state.rpd, unit.config.rpd),
      passableAfter = after(hopefully(function() return passableAt(unit) end)), freeAfter = after(freeAt(unit, 0)),
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
