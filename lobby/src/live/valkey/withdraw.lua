-- Takes a ticket that waits out. ARGV[2..]: its id, the news. Answers "gone", or the match that has
-- it.
if redis.call('HDEL', TICKETS, ARGV[2]) == 1 then
    tell(ARGV[3])
    keep()
    return 'gone'
end
local taken = redis.call('HGET', TAKEN, ARGV[2])
return taken and string.sub(taken, 1, 36)
