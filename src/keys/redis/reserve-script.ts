import { ledgerLua } from './ledger-lua.js';

/** A unit that only waits for calls of other processes to end is looked at again after this. */
const pollMs = 250;

/**
 * Serves the calls of one model that wait in one process, in their turn: throws out what left the
 * windows, chooses the unit with most slack for each call and books it. Who is first in turn but
 * blocked keeps its unit; others may pass it on the remaining ones. Answers what was granted, until
 * when the others have to wait, and, where anybody waits, what the units look like.
 */
export const reserveScript = `${ledgerLua}
if epoch ~= request.epoch then return cjson.encode({ stale = true }) end
local grace = tonumber(string.match(epoch, '^%d+'))
readGates()
local units = openUnits()

local function fits(i, unit, call)
  return #unit.config.keys > 0 and (not call.only or call.only == i)
    and call.fit <= nominal(unit.state.tpm, unit.config.tpm)
end
local function choose(call, reserved)
  if modelAt(request.model) > now or grace > now then return nil end
  local best, most
  for i, unit in ipairs(units) do
    if fits(i, unit, call) and not reserved[i] and unit.state.running < unit.cap and freeAt(unit, call.tokens) <= now then
      local unused = slack(unit)
      if not most or unused > most then best, most = i, unused end
    end
  end
  return best
end
local function earliest(call, reserved)
  local where
  local first = math.huge
  for i, unit in ipairs(units) do
    if fits(i, unit, call) and not reserved[i] then
      local at = math.max(grace, modelAt(request.model), freeAt(unit, call.tokens))
      if at < first then where, first = i, at end
    end
  end
  return first, where
end
local function enter(id)
  local gate = gates[id]
  if not gate then return end
  gate.probed = now
  writeGate(id, gate)
end
local function grant(i, call, turn)
  local unit = units[i]
  local ids = unit.config.keys
  local place
  for offset = 0, #ids - 1 do
    local candidate = (turn + offset) % #ids + 1
    if keyAt(ids[candidate]) <= now then place = candidate break end
  end
  charge(unit, call.id, now, call.tokens)
  lease(unit, call.id, request.leaseMs)
  unit.state.day = unit.state.day + 1
  if unit.state.gate then unit.state.gate.probed = now end
  enter(ids[place])
  enter(unit.config.project)
  enter(request.model)
  return { i - 1, place - 1 }
end

local reply = { now = now, outcomes = {}, parked = gates[request.model] ~= nil }
local reserved, taken, wakeAt, isBlocked = {}, 0, math.huge, false
for place, call in ipairs(request.calls) do
  local chosen = choose(call, reserved)
  if chosen then
    reply.outcomes[place] = { grant = grant(chosen, call, request.turn + place) }
  else
    isBlocked = true
    local first = earliest(call, {})
    reply.outcomes[place] = { after = after(first) }
    if first < forever and first - now <= call.within then
      local at, where = earliest(call, reserved)
      if where then
        reserved[where] = true
        taken = taken + 1
        wakeAt = math.min(wakeAt, at > now and at or now + ${pollMs})
      end
    end
    if taken == #units then break end
  end
end
for _, unit in ipairs(units) do saveUnit(unit) end
if isBlocked then
  reply.wakeAfter = after(wakeAt)
  reply.units = views(units)
  reply.gates = viewsOfGates()
end
return cjson.encode(reply)
`;
