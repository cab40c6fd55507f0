-- Which calls failed, and how? The latest first.
select recipe, round, used_by, cell, outcome, model, attempts, error, time, call_id
from calls
where outcome <> 'ok'
order by time desc, call_id
