-- What the scripts of a queue share. KEYS: its owner's lease; tickets that wait, by id; tickets in
-- matches, by id, each behind the id of its match; matches by id; ids of their tickets by the id of
-- the match; news. ARGV[1]: how many news are kept.
local OWNER, TICKETS, TAKEN, MATCHES, ROSTERS, NEWS = unpack(KEYS)

-- A queue that nobody uses for a day is forgotten.
local function keep()
    for index = 2, #KEYS do
        redis.call('PEXPIRE', KEYS[index], 86400000)
    end
end

-- News have the numbers 0, 1, 2 and so on in the time when the stream began: who has read up to one
-- knows whether some are missing, and whether it is the same stream still.
local function tell(news)
    local last = redis.call('XREVRANGE', NEWS, '+', '-', 'COUNT', 1)[1]
    local clock = redis.call('TIME')
    local began = last and string.match(last[1], '^%d+')
        or string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
    redis.call('XADD', NEWS, 'MAXLEN', '~', ARGV[1], began .. '-*', 'news', news)
end

local function is_fenced(fence)
    return redis.call('HGET', OWNER, 'fence') ~= fence
end

