-- Writes a document that still has its version. KEYS[1]: the document; ARGV: the version, the value,
-- how long it is kept in milliseconds. Answers whether it was written, and the version that it has.
-- One that was removed has a version and no value for a while.
local document = redis.call('HMGET', KEYS[1], 'version', 'value')
local last = tonumber(document[1] or 0)
local version = document[2] and last or 0
if version ~= tonumber(ARGV[1]) then
    return {0, version}
end
redis.call('HSET', KEYS[1], 'version', last + 1, 'value', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, last + 1}
