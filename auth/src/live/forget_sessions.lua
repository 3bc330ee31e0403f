-- Forgets sessions of a player, those named or all that are noted, and changes the player's mark.
-- KEYS: the player's sessions, the player's mark; ARGV: what keys of sessions begin with, how long
-- the mark is remembered in milliseconds, and the ids of the sessions to forget.
-- The keys of sessions are made here: they share the slot of KEYS[1] by its tag, and nobody can
-- put one between the look at the notes and the end.
local function forget(session)
    redis.call('DEL', ARGV[1] .. session)
    redis.call('ZREM', KEYS[1], session)
end
for index = 3, #ARGV do
    forget(ARGV[index])
end
if #ARGV == 2 then
    for _, session in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        forget(session)
    end
end
redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
