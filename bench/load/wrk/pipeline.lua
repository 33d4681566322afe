-- wrk -s pipeline.lua URL -- DEPTH: so many GETs in one write.
local made
function init(args)
  local some = {}
  for i = 1, tonumber(args[1]) do
    some[i] = wrk.format()
  end
  made = table.concat(some)
end
function request()
  return made
end
