-- What did each model cost, by the month of the call? A call that two stages or recipes use counts once.
select
  strftime(time::timestamp, '%Y-%m') as month,
  model,
  count(*) as calls,
  sum(prompt_tokens) as prompt_tokens,
  sum(completion_tokens) as completion_tokens,
  if(
    count(*) filter (where cost is null and outcome not in ('rate_limited', 'provider_error', 'timed_out')) = 0,
    sum(cost),
    null
  ) as cost
from (select distinct on (call_id) * from calls)
group by all
order by all
