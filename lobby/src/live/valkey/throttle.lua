-- live::gcra as a script, by the server's clock in microseconds.
-- KEYS[1]: the rate; ARGV: the burst, the period in microseconds.
-- Answers how long to wait; 0 for who passes.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local burst = tonumber(ARGV[1])
local period = tonumber(ARGV[2])
local tolerance = period * burst
local state = tonumber(redis.call('GET', KEYS[1]) or now)
local after = math.max(now, math.min(state, now + tolerance)) + period
local wait = after - tolerance - now
if wait > 0 then
    return wait
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return 0
