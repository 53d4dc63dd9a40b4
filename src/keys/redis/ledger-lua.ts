import { keyProbeMs } from '../health/pooled-key.js';
import { modelProbeMs } from '../scheduler/model-breaker.js';
import { limitLua } from './limit-lua.js';
import { outlookLua } from './outlook-lua.js';
import { quotaLua } from './quota-lua.js';

/** A key that is blocked for good is tried again after this. */
const gatesTtlMs = 7 * 24 * 3_600_000;

/**
 * The rules of the scheduler in Lua, for the state that several processes share. Constants come from the
 * counterparts in TypeScript. Every script begins with it.
 *
 * KEYS: epoch, gates, processes, consumers, then the state, log, tokens and running calls of each quota.
 * ARGV (all JSON): the limits of the quotas; the ids of the project and of the keys of each quota, which
 * are parsed only if a gate is blocked; the request.
 */
export const ledgerLua = `
local forever = 9e14
local config = cjson.decode(ARGV[1])
local request = cjson.decode(ARGV[3])
local now = request.now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local epoch = redis.call('GET', KEYS[1])

local idsOfQuotas
local function idsOf(quota)
  idsOfQuotas = idsOfQuotas or cjson.decode(ARGV[2])
  return idsOfQuotas[quota.place]
end

-- The counterpart of HalfOpenGate. "shut" is when the block ends, "since" when it began.
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
-- While "optimistic", the probes under way are assumed to succeed.
local optimistic = false
local function optimistically(time)
  optimistic = true
  local found = time()
  optimistic = false
  return found
end
local function allowsAt(gate, probeMs)
  if not gate then return 0 end
  if optimistic or now < gate.shut or not gate.probed then return gate.shut end
  return gate.probed + probeMs
end
local function isProbe(gate, at) return gate and at >= gate.shut end
local function keyAt(quota, n) return allowsAt(gates[idsOf(quota)[n + 1]], ${keyProbeMs}) end
local function projectAt(quota) return allowsAt(gates[idsOf(quota)[1]], ${keyProbeMs}) end
local function modelAt(id) return allowsAt(gates[id], ${modelProbeMs}) end
${limitLua}${quotaLua}${outlookLua}`;
