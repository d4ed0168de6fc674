-- Clears finished jobs away. KEYS: their set, the hash of payloads. ARGV: how the jobs' own hashes begin, how many.
-- Answers how many were cleared away.
local ids = redis.call('SPOP', KEYS[1], ARGV[2])
for _, id in ipairs(ids) do
  redis.call('HDEL', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. ':' .. id)
end
return #ids
