import { cutFactor, fullShare, smallestShare } from '../quota/adaptive-limit.js';
import { cooldownsWithoutHintMs } from '../quota/cooldown-without-hint.js';
import { slowStartEndsAt } from '../quota/in-flight-cap.js';
import { distrustMs, initialMarginMs, largestMarginMs } from '../quota/project-model-quota.js';
import { ledgerLua } from './ledger-lua.js';

/**
 * Books how calls ended: real tokens in place of the estimate, or nothing at all; opens the gates
 * of those that a call proved to be well, closes those that it spoke against; adapts the limits.
 */
export const settleScript = `${ledgerLua}
if not epoch then return cjson.encode({ stale = true }) end
readGates()
local function chargedBefore(quota, at)
  local requests, tokens = quota.state.requests, quota.state.tokens
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', quota.log, at, '+inf')) do
    requests = requests - 1
    tokens = tokens - (tonumber(redis.call('HGET', quota.costs, id)) or 0)
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
local bare = { ${cooldownsWithoutHintMs.join(', ')} }
local function refused(quota, outcome)
  local state = quota.state
  local isFresh = not state.gate or isProbe(state.gate, outcome.at)
  if isFresh then
    if state.opened and state.opened + state.window <= now and not outcome.tooLarge then
      local requests, tokens = chargedBefore(quota, outcome.at)
      local isCut
      if outcome.learned and outcome.learned.tpm then
        isCut = cut(state.tpm, quota.config.tpm, tokens)
      else
        isCut = cut(state.rpm, quota.config.rpm, requests)
      end
      if isCut then state.distrust = now + ${distrustMs} end
    end
    state.cap = math.max(2, math.min(state.running, state.cap) / 4)
    if outcome.retryAfterMs and outcome.retryAfterMs < 1000 then
      state.window = math.min(${60_000 + largestMarginMs}, state.window + ${initialMarginMs})
    end
  end
  if outcome.retryAfterMs then return 0 end
  if isFresh then state.bare = state.bare + 1 end
  return bare[math.min(state.bare, #bare)] or bare[1]
end
local function shutGate(gate, ms, why, strikes)
  local shut = ms < 0 and forever or now + ms
  return {
    shut = math.max(shut, gate and gate.shut or 0), why = why, strikes = strikes, since = gate and gate.since or now,
  }
end
local function settle(quota, outcome)
  local state = quota.state
  quota.dirty = true
  unlease(quota, outcome.id)
  local cost = tonumber(redis.call('HGET', quota.costs, outcome.id))
  if cost and outcome.refund then
    redis.call('ZREM', quota.log, outcome.id)
    redis.call('HDEL', quota.costs, outcome.id)
    movePace(quota, -1, -cost)
    state.tokens = state.tokens - cost
    state.requests = state.requests - 1
  elseif cost and outcome.tokens then
    redis.call('HSET', quota.costs, outcome.id, outcome.tokens)
    movePace(quota, 0, outcome.tokens - cost)
    state.tokens = state.tokens + outcome.tokens - cost
  end
  if outcome.refund and outcome.bookedDayEnd == state.dayEnd then state.day = math.max(0, state.day - 1) end
  for metric, limit in pairs(outcome.learned or {}) do
    state[metric].learned = limit
    state[metric].estimate = nil
  end
  for _, id in ipairs(outcome.proven or {}) do
    if isProbe(gates[id], outcome.at) then writeGate(id, nil) end
  end
  if outcome.projectModelIsProven and isProbe(state.gate, outcome.at) then state.gate = nil end
  if outcome.ok then
    state.bare = 0
    -- A cap that is not used proves nothing.
    if (state.running + 1) * 2 > state.cap then
      state.cap = math.min(quota.config.max, state.cap + (state.cap < ${slowStartEndsAt} and 1 or 1 / state.cap))
    end
  end
  local coolingMs = outcome.refused and refused(quota, outcome) or 0
  for _, close in ipairs(outcome.close or {}) do
    if close.id then
      writeGate(close.id, shutGate(gates[close.id], close.ms, outcome.why, close.strikes))
    else
      local ms = close.ms < 0 and close.ms or math.max(close.ms, coolingMs)
      state.gate = shutGate(state.gate, ms, outcome.why)
    end
  end
  for _, id in ipairs(outcome.touched) do
    local gate = gates[id]
    if isProbe(gate, outcome.at) and gate.probed == outcome.at then
      gate.probed = nil
      writeGate(id, gate)
    end
  end
  if isProbe(state.gate, outcome.at) and state.gate.probed == outcome.at then state.gate.probed = nil end
  if outcome.consumer then redis.call('HSET', KEYS[4], idsOf(quota)[1], outcome.consumer) end
end

local quotas = loadQuotas()
for _, outcome in ipairs(request.outcomes) do settle(quotas[outcome.quota], outcome) end
for _, quota in ipairs(quotas) do saveQuota(quota) end
return cjson.encode({ now = now })
`;
