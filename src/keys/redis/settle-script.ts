import { cutFactor, fullShare, smallestShare } from '../adaptive-limit.js';
import { bareCoolingMs, distrustMs, initialMarginMs, largestMarginMs, slowStartEndsAt } from '../unit.js';
import { ledgerLua } from './ledger-lua.js';

/**
 * Books how one call ended: real tokens in place of the estimate, or nothing at all; opens the gates
 * of those that the call proved to be well, closes those that it spoke against; adapts the limits.
 */
export const settleScript = `${ledgerLua}
if not epoch then return cjson.encode({ stale = true }) end
readGates()
local unit = openUnit(1)
local state = unit.state
unit.dirty = true
unit.inFlight = unit.inFlight - redis.call('ZREM', unit.running, request.id)

local cost = tonumber(redis.call('HGET', unit.costs, request.id))
if cost and request.refund then
  redis.call('ZREM', unit.log, request.id)
  redis.call('HDEL', unit.costs, request.id)
  state.tokens = state.tokens - cost
  unit.requests = unit.requests - 1
elseif cost and request.tokens then
  redis.call('HSET', unit.costs, request.id, request.tokens)
  state.tokens = state.tokens + request.tokens - cost
end
if request.refund and request.bookedDayEnd == state.dayEnd then state.day = math.max(0, state.day - 1) end

for metric, limit in pairs(request.learned or {}) do
  state[metric].learned = limit
  state[metric].estimate = nil
end
for _, id in ipairs(request.proven or {}) do
  if isProbe(gates[id], request.at) then writeGate(id, nil) end
end
if request.pairIsProven and isProbe(state.gate, request.at) then state.gate = nil end
if request.ok then
  state.bare = 0
  state.cap = math.min(unit.config.max, state.cap + (state.cap < ${slowStartEndsAt} and 1 or 1 / state.cap))
end

local function chargedBefore(at)
  local requests, tokens = unit.requests, state.tokens
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', unit.log, at, '+inf')) do
    requests = requests - 1
    tokens = tokens - (tonumber(redis.call('HGET', unit.costs, id)) or 0)
  end
  return requests, tokens
end
local function cut(limit, configured, used)
  local most = nominal(limit, configured)
  if most == math.huge then
    limit.estimate = math.max(1, math.floor(used * ${cutFactor}))
  elseif used < most * ${fullShare} then
    local share = usable(limit, configured) / most
    limit.share = math.max(${smallestShare}, share / 2, math.min(share, used / most) * ${cutFactor})
  else
    return false
  end
  limit.cutAt = now
  return true
end
local bare = { ${bareCoolingMs.join(', ')} }
local function refused()
  local isFresh = not state.gate or isProbe(state.gate, request.at)
  if isFresh then
    if state.opened and state.opened + state.window <= now then
      local requests, tokens = chargedBefore(request.at)
      local isCut
      if request.learned and request.learned.tpm then
        isCut = cut(state.tpm, unit.config.tpm, tokens)
      else
        isCut = cut(state.rpm, unit.config.rpm, requests)
      end
      if isCut then state.distrust = now + ${distrustMs} end
    end
    state.cap = math.max(2, math.min(unit.inFlight, state.cap / 2))
    if request.retryAfterMs and request.retryAfterMs < 1000 then
      state.window = math.min(${60_000 + largestMarginMs}, state.window + ${initialMarginMs})
    end
  end
  if request.retryAfterMs then return 0 end
  if isFresh then state.bare = state.bare + 1 end
  return bare[math.min(state.bare, #bare)] or bare[1]
end
local function shutGate(gate, ms, why, strikes)
  local shut = ms < 0 and forever or now + ms
  return { shut = math.max(shut, gate and gate.shut or 0), why = why, strikes = strikes }
end
local coolingMs = request.refused and refused() or 0
for _, close in ipairs(request.close or {}) do
  if close.id then
    writeGate(close.id, shutGate(gates[close.id], close.ms, request.why, close.strikes))
  else
    local ms = close.ms < 0 and close.ms or math.max(close.ms, coolingMs)
    state.gate = shutGate(state.gate, ms, request.why)
  end
end
for _, id in ipairs(request.touched) do
  local gate = gates[id]
  if isProbe(gate, request.at) and gate.probed == request.at then
    gate.probed = nil
    writeGate(id, gate)
  end
end
if isProbe(state.gate, request.at) and state.gate.probed == request.at then state.gate.probed = nil end
if request.consumer then redis.call('HSET', KEYS[4], unit.config.project, request.consumer) end
saveUnit(unit)
return cjson.encode({ now = now })
`;
