-- Removes finished jobs. KEYS: their set, the hash of payloads. ARGV: the prefix of the jobs' own hashes, how many jobs
-- at most. Returns how many were removed.
local ids = redis.call('SPOP', KEYS[1], ARGV[2])
for _, id in ipairs(ids) do
  redis.call('HDEL', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. ':' .. id)
end
return #ids
