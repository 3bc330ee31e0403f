-- live::gcra as a script, by the server's clock in microseconds.
-- KEYS[1]: the rate; ARGV: the period in microseconds, the burst.
-- Answers as CL.THROTTLE does, but for microseconds instead of seconds.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local period = tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local tolerance = period * burst
local state = tonumber(redis.call('GET', KEYS[1]) or now)
local empty = math.max(now, math.min(state, now + tolerance))
local after = empty + period
local wait = after - tolerance - now
if wait > 0 then
    local reset = empty - now
    return {1, burst, math.floor((tolerance - reset) / period), wait, reset}
end
local reset = after - now
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil(reset / 1000))
return {0, burst, math.floor((tolerance - reset) / period), -1, reset}
