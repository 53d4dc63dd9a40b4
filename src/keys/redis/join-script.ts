import { ledgerLua } from './ledger-lua.js';

/** After a loss of data no call is granted for this long, so that every process can write back its state. */
const graceMs = 1_500;

/**
 * Joins the ledger, for the first time, after an outage or after a loss of its data: writes back the calls
 * of the last minute, the limits, the day counts and the blocks. Idempotent.
 */
export const joinScript = `${ledgerLua}
if not epoch then
  epoch = (request.isLoss and now + ${graceMs} or 0) .. ':' .. request.candidate
  redis.call('SET', KEYS[1], epoch)
end
readGates()
for id, block in pairs(request.gates) do
  local shut = block.after < 0 and forever or now + block.after
  if not gates[id] or gates[id].shut < shut then
    writeGate(id, { shut = shut, why = block.why, strikes = block.strikes })
  end
end
for i, quota in ipairs(loadQuotas()) do
  local known = request.quotas[i]
  local state = quota.state
  for metric, limit in pairs(known.learned) do
    if not state[metric].learned then state[metric].learned = limit end
  end
  if known.dayEnd == state.dayEnd then state.day = math.max(state.day, known.day) end
  for _, call in ipairs(known.calls) do
    if call[2] + state.window > now and charge(quota, call[1], call[2], call[3]) and call[2] > known.seenAt then
      state.day = state.day + 1
    end
  end
  local blockedFor = known.blockedFor
  if blockedFor and blockedFor > 0 and not state.gate then state.gate = { shut = now + blockedFor, why = known.why } end
  quota.dirty = true
  saveQuota(quota)
end
return cjson.encode({ now = now, epoch = epoch })
`;
