import { regainedFirst, regainedSquared } from '../quota/adaptive-limit.js';

/** The counterpart of `AdaptiveLimit`: what may be used of one limit, and how it is known. */
export const limitLua = `
local function nominal(limit, configured)
  return math.min(configured or math.huge, limit.learned or math.huge)
end
local function regained(minutes) return ${regainedFirst} * minutes + ${regainedSquared} * minutes * minutes end
local function usable(limit, configured)
  local most = math.min(configured or math.huge, limit.learned or math.huge)
  if most == 0 then return 0 end
  if most < math.huge then
    local share = limit.share or 1
    if share >= 1 then return most end
    local minutes = math.max(0, now - limit.cutAt) / 60000
    return math.max(1, math.floor(most * math.min(1, share + regained(minutes))))
  end
  if not limit.estimate then return math.huge end
  local minutes = math.max(0, now - limit.cutAt) / 60000
  return math.floor(limit.estimate * (1 + regained(minutes)) + minutes)
end
local function origin(limit, configured)
  if (limit.learned or math.huge) < (configured or math.huge) then return 'learned' end
  if configured then return 'configured' end
  return limit.estimate and 'estimated' or 'unknown'
end
`;
