-- Lets entries of a consumer come again as if they had not been handed out this time.
-- KEYS 1 stream. ARGV group, consumer, for how many ms they seem to have been idle, 1 to forget the consumer if it has nothing left, then
-- for each entry: id, count that it is given. Of a consumer that has rules, a name remains that says that they have read.
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  -- One whose content is gone would leave the list without a word.
  if pending and pending[2] == ARGV[2] and there(KEYS[1], id) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end
if ARGV[4] == '1' and not redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  if rules_of(ARGV[2]) then redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2] .. '~left') end
end
return 1
