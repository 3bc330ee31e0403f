-- Puts a member into a set, or takes it out. KEYS: the ends of the members, and when they were marked;
-- ARGV: the member, how long it is kept in milliseconds (0 to take it out), the most members.
-- Answers whether there was room.
local member, keep = ARGV[1], tonumber(ARGV[2])
if keep == 0 then
    redis.call('ZREM', KEYS[1], member)
    redis.call('ZREM', KEYS[2], member)
    return 1
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local over = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
for _, gone in ipairs(over) do
    redis.call('ZREM', KEYS[1], gone)
    redis.call('ZREM', KEYS[2], gone)
end
if not redis.call('ZSCORE', KEYS[1], member)
    and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
    return 0
end
redis.call('ZADD', KEYS[1], now + keep * 1000, member)
redis.call('ZADD', KEYS[2], now, member)
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < keep then
        redis.call('PEXPIRE', key, keep)
    end
end
return 1
