-- one line a generated row: its condition, its demonstrations, its call, and what became of it
select
  c.row_id,
  c.round,
  c.cell,
  c.label,
  g.text,
  g.call_id,
  g.model,
  list(s.text order by s.row_id) as demonstrations,
  any_value(coalesce(r.reason, if(f.row_id is null, null, 'kept'))) as outcome
from {recipe}.conditions as c
left join {recipe}.generations as g on g.row_id = c.row_id and g.round = c.round
left join {recipe}.seeds as s on list_contains(c.demonstration_ids, s.row_id)
left join {recipe}.filtered as f on f.row_id = c.row_id and f.round = c.round
left join {recipe}.rejected as r on r.row_id = c.row_id and r.round = c.round
group by all
