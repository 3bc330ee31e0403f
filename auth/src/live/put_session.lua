-- Puts a session and notes it, by its end, among its player's; notes that are over go. Nothing is
-- put if sessions of the player were forgotten since the mark was read.
-- KEYS: the session, the player's sessions, the player's mark; ARGV: the value, the lifetime in
-- milliseconds, the session's id, the mark that was read.
if (redis.call('GET', KEYS[3]) or '0') ~= ARGV[4] then
    return
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lifetime = tonumber(ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', lifetime)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + lifetime, ARGV[3])
if redis.call('PTTL', KEYS[2]) < lifetime then
    redis.call('PEXPIRE', KEYS[2], lifetime)
end
