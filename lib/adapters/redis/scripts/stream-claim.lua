-- Takes over pending entries. One whose content is gone is told and left pending, so that whoever is told and dies has not hidden it.
-- KEYS 1 stream. ARGV group, consumer, then for each entry: id, least idle ms.
-- Gives {entries with their counts as {id, fields, count}, ids whose content is gone}.
local taken, gone = {}, {}
for i = 3, #ARGV, 2 do
  local id, idle = ARGV[i], ARGV[i + 1]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', idle, id, id, 1)[1]
  if pending then
    if there(KEYS[1], id) then
      local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], idle, id)[1]
      if entry then taken[#taken + 1] = { id, entry[2], pending[4] + 1 } end
    else
      gone[#gone + 1] = id
    end
  end
end
return { taken, gone }
