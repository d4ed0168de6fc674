-- Gives leases back under exactly these epochs. KEYS: the leases. ARGV: the value of each. Returns how many there were.
local gone = 0
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[i] then
        gone = gone + redis.call('DEL', key)
    end
end
return gone
