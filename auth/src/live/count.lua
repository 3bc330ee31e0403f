-- One more, and the window begins anew. KEYS[1]: the count; ARGV: the window in milliseconds.
local count = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return count
