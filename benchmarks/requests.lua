-- Sends the requests of a file in turn and reports in one line that a program can read.
--
--   wrk ... -s requests.lua URL -- FILE
--
-- The file holds whole requests, parted by NUL. An octet 1 in a request is replaced by sixteen random hexadecimal
-- digits each time the request is sent.

local requests = {}
local position = 0

local function in_turn()
   position = position % #requests + 1
   return requests[position]
end

local function in_turn_with_random()
   position = position % #requests + 1
   local parts = requests[position]
   return parts[1] .. string.format("%08x%08x", math.random(0, 0x7fffffff), math.random(0, 0x7fffffff)) .. parts[2]
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local text = file:read("*a")
   file:close()
   local random = false
   local from = 1
   while from <= #text do
      local nul = text:find("\0", from, true) or #text + 1
      local one = text:sub(from, nul - 1)
      local mark = one:find("\1", 1, true)
      if mark then
         random = true
         one = {one:sub(1, mark - 1), one:sub(mark + 1)}
      end
      requests[#requests + 1] = one
      from = nul + 1
   end
   if random then
      math.randomseed(os.time())
      request = in_turn_with_random
   elseif #requests > 1 then
      request = in_turn
   else
      -- Without a function "request", wrk renders once and calls no Lua while it runs.
      wrk.format = function() return requests[1] end
   end
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "octets": %d, "microseconds": %d, "p50": %d, "p99": %d, ' ..
      '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
