-- Takes leases that nobody holds, or that this worker holds. KEYS: since when this Redis keeps what it was given, then the leases.
-- ARGV: the start of this worker's values, milliseconds of life. Answers whether Redis is young, and the places of those won.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or 'unknown'
local since_run, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%w+):(%d+)$')
if since_run ~= run then
    since = now
    redis.call('SET', KEYS[1], run .. ':' .. string.format('%.0f', now))
end
local won = {}
for i = 2, #KEYS do
    local held = redis.call('GET', KEYS[i])
    if not held or string.sub(held, 1, #ARGV[1]) == ARGV[1] then
        redis.call('SET', KEYS[i], ARGV[1] .. '0', 'PX', ARGV[2])
        won[#won + 1] = i - 1
    end
end
return {now - since < tonumber(ARGV[2]) and 1 or 0, won}
