-- Remembers identities of events in two sets: when the younger one is full it becomes the older one, whose content is forgotten.
-- KEYS  1 younger set  2 older set
-- ARGV  1 how many fill a set  2 life of a set that nobody adds to, ms  3... identities
for i = 3, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[1]) then redis.call('RENAME', KEYS[1], KEYS[2]) end
return 1
