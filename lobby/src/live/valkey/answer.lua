-- Tells what a player says to a match, if it is there. ARGV[2..]: its id, the news.
if redis.call('HEXISTS', MATCHES, ARGV[2]) == 1 then
    tell(ARGV[3])
    keep()
end
