import { refusalArrivesWithinMs, refusalUsuallyTakesMs } from '../quota/project-model-quota.js';

/** When quotas are free, their slack, and the views of them that processes receive. */
export const outlookLua = `
local function dayAt(quota) return quota.state.day < quota.rpd and 0 or quota.state.dayEnd end
local function keysAt(quota)
  if quota.config.keys == 0 then return math.huge end
  if next(gates) == nil then return 0 end
  local at = math.huge
  for n = 1, quota.config.keys do at = math.min(at, keyAt(quota, n)) end
  return math.max(at, projectAt(quota))
end
local function passableAt(quota)
  return math.max(allowsAt(quota.state.gate, ${refusalArrivesWithinMs}), dayAt(quota), keysAt(quota))
end
-- When the oldest requests will have left the window, by their number or by their tokens.
-- Cached for one run of the script, which charges only the newest calls.
local function requestsLeaveAt(quota, count)
  local known = quota.requestsLeave
  if not known then known = {} quota.requestsLeave = known end
  if not known[count] then
    local entry = redis.call('ZRANGE', quota.log, count - 1, count - 1, 'WITHSCORES')
    known[count] = entry[2] and tonumber(entry[2]) + quota.state.window or now
  end
  return known[count]
end
local function tokensLeaveAt(quota, tokens)
  local known = quota.tokensLeave
  if not known then known = { sum = 0, count = 0, calls = {} } quota.tokensLeave = known end
  while known.sum < tokens do
    local entries = redis.call('ZRANGE', quota.log, known.count, known.count + 63, 'WITHSCORES')
    if #entries == 0 then break end
    local ids = {}
    for i = 1, #entries, 2 do ids[#ids + 1] = entries[i] end
    for i, cost in ipairs(redis.call('HMGET', quota.costs, unpack(ids))) do
      known.sum = known.sum + (tonumber(cost) or 0)
      known.calls[known.count + i] = { sum = known.sum, at = tonumber(entries[2 * i]) + quota.state.window }
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
local function windowAt(quota, tokens)
  if quota.rpm < 1 then return forever end
  local at = now
  local over = quota.state.requests + 1 - quota.rpm
  if over > 0 then at = math.max(at, requestsLeaveAt(quota, over)) end
  local excess = quota.state.tokens + math.min(tokens, quota.tpm) - quota.tpm
  if excess > 0 then at = math.max(at, tokensLeaveAt(quota, excess)) end
  return at
end
local function freeAt(quota, tokens) return math.max(passableAt(quota), windowAt(quota, tokens)) end
local function slack(quota)
  local least = 1 - quota.state.running / quota.cap
  local isUnknown = origin(quota.state.rpm, quota.config.rpm) == 'unknown' and origin(quota.state.tpm, quota.config.tpm) == 'unknown'
  -- Calls sent before the first refusal has arrived are refused too, so another quota is tried first.
  if isUnknown and now < (quota.state.booked or 0) + ${refusalUsuallyTakesMs} then least = least - 1 end
  if quota.rpm < math.huge then least = math.min(least, 1 - quota.state.requests / quota.rpm) end
  if quota.tpm < math.huge then least = math.min(least, 1 - quota.state.tokens / quota.tpm) end
  if quota.rpd < math.huge then least = math.min(least, 1 - quota.state.day / quota.rpd) end
  return least
end

-- JSON has no infinity: it is -1.
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
local function views(quotas)
  local all = {}
  for i, quota in ipairs(quotas) do
    local state = quota.state
    all[i] = {
      requests = state.requests, tokens = state.tokens, inFlight = state.running, day = state.day, window = state.window,
      rpm = viewOfLimit(state.rpm, quota.config.rpm), tpm = viewOfLimit(state.tpm, quota.config.tpm),
      rpd = viewOfLimit(state.rpd, quota.config.rpd),
      passableAfter = after(optimistically(function() return passableAt(quota) end)), freeAfter = after(freeAt(quota, 0)),
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
