import { rejections } from '../health/failure-reaction.js';
import { refusalArrivesWithinMs } from '../quota/project-model-quota.js';
import { modelProbeMs } from '../scheduler/model-breaker.js';
import { ledgerLua } from './ledger-lua.js';

/** Poll interval while blocked on another process's calls or probes. */
const pollMs = 250;
/** How long after a slot comes free the process that waits for it may still claim it. */
const claimMs = 100;
/** Claims are renewed at least this often, because a process may die. */
const longestClaimMs = 1_000;

/**
 * The counterpart of `dispatch`: serves the calls of one model that wait in one process, in service order.
 * Chooses the quota with the most slack for each call and charges it. Replies with the grants, with how
 * long the other calls have to wait, and, if any call waits, with the state of the quotas.
 */
export const reserveScript = `${ledgerLua}
local rejections = { ${[...rejections].map((kind) => `['${kind}'] = true`).join(', ')} }
if epoch ~= request.epoch then return cjson.encode({ stale = true }) end
local grace = tonumber(string.match(epoch, '^%d+'))
readGates()
local quotas = loadQuotas()

local function fits(i, quota, call)
  return quota.config.keys > 0 and (not call.only or call.only == i)
    and call.fit <= nominal(quota.state.tpm, quota.config.tpm)
end
-- A process claims the slot that it waits for until it has had time to ask again. Claims of paced calls
-- yield to unpaced calls of other processes, and alternate with the paced calls of other processes.
local function claimAt(quota)
  local claim = quota.state.claim
  if not claim or claim.by == request.process then return 0 end
  if claim.paced and quota.state.pacedBy ~= request.process then return 0 end
  return claim.at
end
local function claim(quota, call, at)
  local other = quota.state.claim
  if other and other.at > now and other.by ~= request.process then
    local yields = other.paced and (not call.paced or other.by == quota.state.pacedBy)
    if not yields then return end
  end
  local upTo = math.min(at, now + ${longestClaimMs}) + ${claimMs}
  quota.state.claim = { by = request.process, at = upTo, paced = call.paced }
  quota.dirty = true
end
local function pacedUntil(quota) return math.max(paceAt(quota), claimAt(quota)) end
local function choose(call, taken)
  if modelAt(request.model) > now or grace > now then return nil end
  local best, most
  for i, quota in ipairs(quotas) do
    if fits(i, quota, call) and not taken[i] and quota.state.running < quota.cap
      and not (call.paced and pacedUntil(quota) > now) and freeAt(quota, call.tokens) <= now then
      local unused = slack(quota)
      if not most or unused > most then best, most = i, unused end
    end
  end
  return best
end
local function earliest(call, taken, paced)
  local where
  local first = math.huge
  for i, quota in ipairs(quotas) do
    if fits(i, quota, call) and not taken[i] then
      local at = math.max(grace, modelAt(request.model), freeAt(quota, call.tokens), paced and pacedUntil(quota) or 0)
      if at < first then where, first = i, at end
    end
  end
  return first, where
end
-- Whether a key works, or the model for the project: for those that are rejected no call waits.
local function isRejected(gate, probeMs) return gate and rejections[gate.why] and allowsAt(gate, probeMs) > now end
local function couldWait(call)
  if isRejected(gates[request.model], ${modelProbeMs}) then return false end
  for i, quota in ipairs(quotas) do
    if fits(i, quota, call) and keysAt(quota) <= now and not isRejected(quota.state.gate, ${refusalArrivesWithinMs}) then
      return true
    end
  end
  return false
end
local function enter(id)
  local gate = gates[id]
  if not gate then return end
  gate.probed = now
  writeGate(id, gate)
end
local function pickKey(quota, rotation)
  local keys = quota.config.keys
  for offset = 0, keys - 1 do
    local candidate = (rotation + offset) % keys + 1
    if next(gates) == nil or keyAt(quota, candidate) <= now then return candidate end
  end
end
local function grant(i, call, rotation)
  local quota = quotas[i]
  local usedTokens = quota.state.tokens
  local place = pickKey(quota, rotation)
  charge(quota, call.id, now, call.tokens)
  bookPace(quota, call.tokens)
  lease(quota, call.id, request.leaseMs)
  if quota.state.claim and quota.state.claim.by == request.process then quota.state.claim = nil end
  if call.paced then quota.state.pacedBy = request.process end
  quota.state.day = quota.state.day + 1
  quota.state.booked = now
  if quota.state.gate then quota.state.gate.probed = now end
  if next(gates) ~= nil then
    local ids = idsOf(quota)
    enter(ids[place + 1])
    enter(ids[1])
    enter(request.model)
  end
  return { i - 1, place - 1, usedTokens }
end

local reply = { now = now, outcomes = {}, parked = gates[request.model] ~= nil }
local wakeAt, isBlocked = math.huge, false
-- A waiter held back only by pacing reserves its quota against other paced waiters alone.
local reserved, reservedAgainstPaced = { count = 0 }, { count = 0 }
local function keep(taken, i)
  if taken[i] then return end
  taken[i] = true
  taken.count = taken.count + 1
end
local function hold(call)
  isBlocked = true
  if not couldWait(call) then return { after = after((earliest(call, {}))), rejected = true } end
  local surely = earliest(call, {})
  local first = surely > now and optimistically(function() return (earliest(call, {})) end) or surely
  local waitsForProbe = first <= now and surely > now
  if first < forever and first - now <= call.within then
    local at, where = earliest(call, call.paced and reservedAgainstPaced or reserved, call.paced)
    if where then
      keep(reservedAgainstPaced, where)
      if not call.paced or freeAt(quotas[where], call.tokens) > now then keep(reserved, where) end
      if at < forever then claim(quotas[where], call, at) end
      wakeAt = math.min(wakeAt, (waitsForProbe or at <= now) and now + ${pollMs} or at)
    end
  end
  return { after = after(first) }
end
for place, call in ipairs(request.calls) do
  local taken = call.paced and reservedAgainstPaced or reserved
  local chosen = taken.count < #quotas and choose(call, taken)
  if chosen then
    reply.outcomes[place] = { grant = grant(chosen, call, request.rotation + place) }
  else
    reply.outcomes[place] = taken.count < #quotas and hold(call) or {}
  end
  if reserved.count == #quotas then break end
end
for _, quota in ipairs(quotas) do saveQuota(quota) end
if isBlocked then
  reply.wakeAfter = after(wakeAt)
  reply.quotas = views(quotas)
  reply.gates = viewsOfGates()
end
return cjson.encode(reply)
`;
