-- Writes a document that still has its version. KEYS[1]: the document; ARGV: the version, the value,
-- how long it is kept in milliseconds. Answers whether it was written, and the version that it has.
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if version ~= tonumber(ARGV[1]) then
    return {0, version}
end
redis.call('HSET', KEYS[1], 'version', version + 1, 'value', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, version + 1}
