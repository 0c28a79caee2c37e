-- For `wrk … URL -- METHOD LENGTH`: requests with a body of the length, and one line of JSON at the end.

function init(arguments)
  wrk.method = arguments[1]
  wrk.body = string.rep("x", tonumber(arguments[2]))
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local text = '{"count": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\n'
  io.write(text:format(summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), failed))
end
