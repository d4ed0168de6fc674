-- Books tokens. KEYS: the instant up to which the tokens of the bucket are given away; for a full bucket it lies one
-- second in the past. ARGV: what the tokens are worth, and how far ahead the instant may lie, both in microseconds.
-- Returns from when on the tokens may be used, and how long that is from now, both in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local given = tonumber(redis.call('GET', KEYS[1]) or '0')
if given > now + tonumber(ARGV[2]) then given = now end
given = math.max(given, now - 1000000) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', given), 'PX', math.ceil((given - now) / 1000) + 2000)
return {string.format('%.0f', math.max(given, now)), string.format('%.0f', math.max(given - now, 0))}
