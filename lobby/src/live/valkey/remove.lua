-- Removes a document that still has its version, which is remembered for a while. KEYS[1]: the
-- document; ARGV: the version, how long that is remembered in milliseconds.
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1]
    or redis.call('HDEL', KEYS[1], 'value') == 0 then
    return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
