import { cutFactor, fullShare, smallestShare } from '../quota/adaptive-limit.js';
import { cooldownWithoutHint } from '../quota/cooldown-without-hint.js';
import { inFlightDivisor, leastInFlight, slowStartEndsAt } from '../quota/in-flight-cap.js';
import { distrustMs, initialMarginMs, largestMarginMs } from '../quota/project-model-quota.js';
import { coolingJitterMs } from '../scheduler/settlement.js';
import { ledgerLua } from './ledger-lua.js';

/**
 * Books how calls ended: charges the real tokens or refunds the call, unblocks what it proved healthy,
 * blocks what is to blame for a failure, and adapts the limits.
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
-- Returns the least and the most milliseconds for which to block the quota.
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
    state.cap = math.max(${leastInFlight}, math.min(state.running, state.cap) / ${inFlightDivisor})
    if outcome.retryAfterMs and outcome.retryAfterMs < 1000 then
      state.window = math.min(${60_000 + largestMarginMs}, state.window + ${initialMarginMs})
    end
  end
  if outcome.retryAfterMs then return 0, math.huge end
  if isFresh then state.bare = state.bare + 1 end
  local coolingMs = math.min(${cooldownWithoutHint.maxMs}, ${cooldownWithoutHint.initialMs} * 2 ^ math.max(0, state.bare - 1))
  local oldest = tonumber(redis.call('ZRANGE', quota.log, 0, 0, 'WITHSCORES')[2])
  if not oldest then return coolingMs, math.huge end
  -- Quota comes back as soon as the oldest request leaves the window.
  local mostMs = math.max(${cooldownWithoutHint.initialMs}, oldest + state.window - now)
  return math.min(coolingMs, mostMs), mostMs + ${coolingJitterMs}
end
local function blockGate(gate, ms, why, strikes)
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
  local leastMs, mostMs = 0, math.huge
  if outcome.refused then leastMs, mostMs = refused(quota, outcome) end
  for _, block in ipairs(outcome.block or {}) do
    if block.id then
      writeGate(block.id, blockGate(gates[block.id], block.ms, outcome.why, block.strikes))
    else
      local ms = block.ms < 0 and block.ms or math.min(mostMs, math.max(block.ms, leastMs))
      state.gate = blockGate(state.gate, ms, outcome.why)
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
