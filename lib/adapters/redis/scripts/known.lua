-- Which identities of events are remembered.
-- KEYS  1 younger set  2 older set
-- ARGV  identities
-- Gives 1 or 0 for each
local young, old = redis.call('SMISMEMBER', KEYS[1], unpack(ARGV)), redis.call('SMISMEMBER', KEYS[2], unpack(ARGV))
for i = 1, #ARGV do if old[i] == 1 then young[i] = 1 end end
return young
