-- Puts a ticket in, unless it is there. ARGV[2..]: its id, the ticket, the most tickets. Answers
-- whether there was room.
local id, ticket = ARGV[2], ARGV[3]
if redis.call('HEXISTS', TICKETS, id) == 1 or redis.call('HEXISTS', TAKEN, id) == 1 then
    return 1
end
if redis.call('HLEN', TICKETS) >= tonumber(ARGV[4]) then
    return 0
end
redis.call('HSET', TICKETS, id, ticket)
tell('{"entered":' .. ticket .. '}')
keep()
return 1
