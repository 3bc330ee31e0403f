-- Makes tickets part of a match, all or none. ARGV[2..]: the fence, the match's id, the match, and
-- the ids of its tickets.
local match = ARGV[3]
if is_fenced(ARGV[2]) then
    return {'fenced'}
end
if redis.call('HEXISTS', MATCHES, match) == 1 then
    return {'done'}
end
local answer = {'missing'}
for index = 5, #ARGV do
    if redis.call('HEXISTS', TICKETS, ARGV[index]) == 0 then
        table.insert(answer, ARGV[index])
    end
end
if #answer > 1 then
    return answer
end
local roster = {}
for index = 5, #ARGV do
    local ticket = redis.call('HGET', TICKETS, ARGV[index])
    if ticket then
        redis.call('HDEL', TICKETS, ARGV[index])
        redis.call('HSET', TAKEN, ARGV[index], match .. ticket)
        table.insert(roster, ARGV[index])
    end
end
redis.call('HSET', MATCHES, match, ARGV[4])
redis.call('HSET', ROSTERS, match, table.concat(roster, ' '))
keep()
return {'done'}
