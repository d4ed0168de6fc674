-- Drops a queue that nobody consumes. KEYS: the zset of its consumers, the hash of payloads, then its other keys. ARGV:
-- the prefix of the jobs' own hashes, the prefix of the consumers' jobs in hand, the list of queues, the second before
-- which a consumer counts as dead, how many jobs at most. Returns 1 if the queue is gone, 0 if it is alive, 2 if there
-- is more to do.
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] and tonumber(last[2]) > tonumber(ARGV[4]) then return 0 end
local left = tonumber(ARGV[5])
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
  if left == 0 then return 2 end
  redis.call('HDEL', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. ':' .. id)
  left = left - 1
end
for _, consumer in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('DEL', ARGV[2] .. ':' .. consumer, KEYS[1] .. ':metadata:' .. consumer)
end
redis.call('DEL', unpack(KEYS))
redis.call('ZREM', ARGV[3], KEYS[1])
return 1
