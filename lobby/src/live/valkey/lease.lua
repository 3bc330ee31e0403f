-- Takes or renews a lease. KEYS[1]: the lease; ARGV: the holder, for how long in milliseconds, how
-- long the fence is remembered after that. Answers the fence; nothing while somebody else has it.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = redis.call('HMGET', KEYS[1], 'holder', 'until', 'fence')
local held = lease[1] and tonumber(lease[2]) > now
if held and lease[1] ~= ARGV[1] then
    return false
end
local fence = lease[3]
if not held then
    fence = string.format('%.0f', math.max(now, tonumber(fence or 0) + 1))
end
local ends = string.format('%.0f', now + ARGV[2])
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', ends, 'fence', fence)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] + ARGV[3]))
return fence
