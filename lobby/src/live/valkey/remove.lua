-- Removes a document that still has its version. KEYS[1]: the document; ARGV[1]: the version.
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
