-- For wrk: requests with a body of as many bytes as the first argument says.
function init(args)
  local size = tonumber(args[1])
  if size > 0 then
    wrk.method = "POST"
    wrk.body = string.rep(".", size)
    wrk.headers["content-type"] = "text/plain"
  end
end
