-- the rows that the prompt of a row showed, in their order
select s.row_id, s.label, s.text
from (
  select unnest(demonstration_ids) as seed_id, generate_subscripts(demonstration_ids, 1) as position
  from {recipe}.conditions
  where row_id = $row_id
) as c
join {recipe}.seeds as s on s.row_id = c.seed_id
order by c.position
