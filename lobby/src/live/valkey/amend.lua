-- Notes a match as it is by now. ARGV[2..]: the fence, the match's id, the match.
if is_fenced(ARGV[2]) then
    return {'fenced'}
end
if redis.call('HEXISTS', MATCHES, ARGV[3]) == 0 then
    return {'missing'}
end
redis.call('HSET', MATCHES, ARGV[3], ARGV[4])
keep()
return {'done'}
