-- Puts the epoch into a lease that was just won. KEYS: the lease. ARGV: what it holds, what it shall hold, milliseconds of life.
-- Answers 1 when it did.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
