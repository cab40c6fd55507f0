select used_by as stage, model, count(*) as calls, sum(prompt_tokens) as prompt_tokens,
  sum(completion_tokens) as completion_tokens,
  if(bool_and(cost is not null or outcome in ('rate_limited', 'provider_error', 'timed_out')),
    sum(cost), null) as dollars
from (select distinct on (call_id) * from {recipe}.calls where round <= $round
  order by call_id, round, used_by) group by all order by all
