-- Ends a match: some of its tickets wait again, as they were, the others are forgotten.
-- ARGV[2..]: the fence, the match's id, and the ids of those that wait again.
local match = ARGV[3]
if is_fenced(ARGV[2]) then
    return {'fenced'}
end
local back = {}
for index = 4, #ARGV do
    back[ARGV[index]] = true
end
for id in string.gmatch(redis.call('HGET', ROSTERS, match) or '', '%S+') do
    local taken = redis.call('HGET', TAKEN, id)
    redis.call('HDEL', TAKEN, id)
    if taken and back[id] then
        local ticket = string.sub(taken, 37)
        redis.call('HSET', TICKETS, id, ticket)
        tell('{"entered":' .. ticket .. '}')
    end
end
redis.call('HDEL', MATCHES, match)
redis.call('HDEL', ROSTERS, match)
keep()
return {'done'}
