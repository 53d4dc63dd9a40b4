import { ledgerLua } from './ledger-lua.js';

/**
 * The heartbeat of a process: reports that it is alive and which calls wait in it, renews the reservations
 * of its running calls, and replies with the state of all processes together.
 */
export const observeScript = `${ledgerLua}
if epoch ~= request.epoch then return cjson.encode({ stale = true }) end
readGates()
redis.call('HSET', KEYS[3], request.process, cjson.encode({
  at = now, queued = request.queued, backlogs = request.backlogs,
}))
local processes, queuedElsewhere, backlogs = 0, 0, {}
local seen = redis.call('HGETALL', KEYS[3])
for i = 1, #seen, 2 do
  local process = cjson.decode(seen[i + 1])
  if now - process.at > request.processTtlMs then
    redis.call('HDEL', KEYS[3], seen[i])
  else
    processes = processes + 1
    if seen[i] ~= request.process then
      queuedElsewhere = queuedElsewhere + process.queued
      for _, backlog in ipairs(process.backlogs) do
        backlogs[backlog[1]] = (backlogs[backlog[1]] or 0) + backlog[2]
      end
    end
  end
end
redis.call('PEXPIRE', KEYS[3], 10 * request.processTtlMs)
local quotas = loadQuotas()
for i, quota in ipairs(quotas) do
  for _, id in ipairs(request.running[i] or {}) do lease(quota, id, request.leaseMs) end
  saveQuota(quota)
end
local reply = {
  now = now, processes = processes, queuedElsewhere = queuedElsewhere, backlogs = backlogs, gates = viewsOfGates(), consumers = {},
}
if #quotas > 0 then reply.quotas = views(quotas) end
local consumers = redis.call('HGETALL', KEYS[4])
for i = 1, #consumers, 2 do reply.consumers[consumers[i]] = consumers[i + 1] end
return cjson.encode(reply)
`;
