-- wrk -s post.lua URL -- BYTES: POST with a body of so many bytes.
local made
function init(args)
  made = wrk.format("POST", nil, nil, string.rep("x", tonumber(args[1])))
end
function request()
  return made
end
