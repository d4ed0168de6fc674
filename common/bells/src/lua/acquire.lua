-- Takes leases that nobody holds, or that this worker or one of its dead earlier boots holds. KEYS: the key that says
-- since when this Redis has kept its data, then the leases. ARGV: the lifetime in milliseconds, then the start of this
-- worker's values, then those of its earlier boots. Returns whether Redis is young, and the places of the leases won,
-- counted from 1.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or 'unknown'
local since_run, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%w+):(%d+)$')
if since_run ~= run then
    since = now
    redis.call('SET', KEYS[1], run .. ':' .. string.format('%.0f', now))
end
local function is_ours(value)
    for i = 2, #ARGV do
        if string.sub(value, 1, #ARGV[i]) == ARGV[i] then
            return true
        end
    end
    return false
end
local won = {}
for i = 2, #KEYS do
    local held = redis.call('GET', KEYS[i])
    if not held or is_ours(held) then
        redis.call('SET', KEYS[i], ARGV[2] .. '0', 'PX', ARGV[1])
        won[#won + 1] = i - 1
    end
end
return {now - since < tonumber(ARGV[1]) and 1 or 0, won}
