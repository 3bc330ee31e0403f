-- Gives a lease back; its fence stays. KEYS[1]: the lease; ARGV[1]: the holder.
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'holder', 'until')
end
