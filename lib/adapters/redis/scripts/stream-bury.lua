-- Moves an entry to the dead letters and acknowledges it; does nothing when it is pending no more.
-- KEYS 1 stream, 2 dead letters. ARGV group, id, at most so many dead letters, then the fields of the dead letter.
-- Gives 1 when it was moved.
if not redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)[1] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 4))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return 1
