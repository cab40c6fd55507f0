-- calls, tokens and dollars, by round, stage and model; a call counts where it was used first
-- cost is null when that of one answered call is not known
select
  round,
  used_by as stage,
  model,
  count(*) as calls,
  sum(prompt_tokens) as prompt_tokens,
  sum(completion_tokens) as completion_tokens,
  if(
    count(*) filter (where cost is null and outcome not in ('rate_limited', 'provider_error', 'timed_out')) = 0,
    sum(cost),
    null
  ) as cost
from (select distinct on (call_id) * from {recipe}.calls order by call_id, round, used_by)
group by all
order by all
