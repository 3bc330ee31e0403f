-- Forgets sessions of a player: those named, or all that are noted.
-- KEYS[1]: the player's sessions; ARGV: what their keys begin with, and the ids of those to forget.
-- The keys of sessions are made here: they share the slot of KEYS[1] by its tag, and nobody can
-- put one between the look at the notes and the end.
local function forget(session)
    redis.call('DEL', ARGV[1] .. session)
    redis.call('ZREM', KEYS[1], session)
end
for index = 2, #ARGV do
    forget(ARGV[index])
end
if #ARGV == 1 then
    for _, session in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        forget(session)
    end
end
