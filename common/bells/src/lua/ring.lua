-- Rings bells: looks up who owns their accounts, publishes them, and decides which of them go into a queue. ARGV: the
-- prefixes of leases, channels of bells, keys of rung bells, queues and inboxes; the suffixes of a queue's list and set
-- of due jobs; for how many milliseconds equal bells coalesce; the most jobs of a queue. Then for each bell: its name,
-- its account or nothing, its shared queue, the message to publish. Returns for each bell its outcome, and its owner or
-- nothing.
local lease_, bell_, rung_, queue_, inbox_ = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local active, scheduled = ARGV[6], ARGV[7]
local coalesce_ms, limit = ARGV[8], tonumber(ARGV[9])
local due, answers = {}, {}
for i = 10, #ARGV, 4 do
  local bell, account, shared, message = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local owner
  if account ~= '' then
    local lease = redis.call('GET', lease_ .. account)
    owner = lease and string.match(lease, '^([^:]+):')
  end
  local queue = owner and (inbox_ .. owner) or shared
  redis.call('PUBLISH', bell_ .. (owner or shared), message)
  local outcome = 'coalesced'
  local rung = rung_ .. queue .. ':' .. bell
  if redis.call('SET', rung, '1', 'NX', 'PX', coalesce_ms) then
    local name = queue_ .. queue
    due[name] = due[name] or (redis.call('LLEN', name .. active) + redis.call('ZCARD', name .. scheduled))
    if due[name] < limit then
      due[name] = due[name] + 1
      outcome = 'rung'
    else
      redis.call('DEL', rung)
      outcome = 'full'
    end
  end
  answers[#answers + 1] = outcome
  answers[#answers + 1] = owner or ''
end
return answers
