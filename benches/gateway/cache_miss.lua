-- For wrk: another URL each time.
local counter = 0
function request()
  counter = counter + 1
  return wrk.format(nil, wrk.path .. "/" .. counter)
end
