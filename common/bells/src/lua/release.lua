-- Gives leases back, whatever their epoch. KEYS: the leases. ARGV: the start of this worker's values. Returns how many
-- there were.
local gone = 0
for _, key in ipairs(KEYS) do
    local held = redis.call('GET', key)
    if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
        gone = gone + redis.call('DEL', key)
    end
end
return gone
