-- Renews leases. KEYS: the leases. ARGV: the lifetime in milliseconds, 1 if a missing lease is to be set again, then
-- the value of each lease. Returns for each: 0 held, 1 missing, 2 held by another worker.
local found = {}
for i, key in ipairs(KEYS) do
    local held = redis.call('GET', key)
    if held == ARGV[i + 2] then
        redis.call('PEXPIRE', key, ARGV[1])
        found[i] = 0
    elseif held then
        found[i] = 2
    elseif ARGV[2] == '1' then
        redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[1])
        found[i] = 0
    else
        found[i] = 1
    end
end
return found
