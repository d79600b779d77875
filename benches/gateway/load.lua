-- For wrk: requests of one kind, named by the first argument. "miss" asks for another URL each time.
local counter = 0
function init(args)
  local kind = args[1]
  wrk.method = kind:match("^post") and "POST" or "GET"
  local size = tonumber(kind:match("^post(%d+)$"))
  if size then
    wrk.body = string.rep(".", size)
    wrk.headers["content-type"] = "text/plain"
  end
  if kind == "miss" then
    local start = args[2]
    request = function()
      counter = counter + 1
      return wrk.format(nil, "/cached?n=" .. start .. "." .. counter)
    end
  end
end
