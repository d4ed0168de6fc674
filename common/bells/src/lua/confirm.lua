-- Writes the epoch into a lease that was just won. KEYS: the lease. ARGV: its current value, its new value, the
-- lifetime in milliseconds. Returns 1 if it was written, otherwise 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
