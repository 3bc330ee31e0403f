-- Members of a set that are not over, those that were marked last first. KEYS: the ends of the
-- members, and when they were marked; ARGV[1]: how many.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
repeat
    local over = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
    for _, gone in ipairs(over) do
        redis.call('ZREM', KEYS[1], gone)
        redis.call('ZREM', KEYS[2], gone)
    end
until #over < 1000
return redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1, 'REV')
