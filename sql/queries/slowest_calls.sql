-- Which calls took longest?
-- param: rows  how many
select recipe, round, used_by, model, latency_s, attempts, outcome, prompt_tokens, completion_tokens, time, call_id
from calls
where latency_s is not null
order by latency_s desc, call_id
limit $rows::int
