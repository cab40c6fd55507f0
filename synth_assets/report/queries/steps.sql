-- the answers that a row was made of, with their calls
select
  s.step, s.call_id, s.accepted, s.reason, coalesce(s.error, c.error) as error, c.* exclude (call_id, error)
from {recipe}.steps as s
left join {recipe}.calls as c
  on c.call_id = s.call_id and c.used_by = s.step and c.round = s.round and c.cell = s.cell
where s.row_id = $row_id and (s.call_id is not null or (s.accepted and s.reason = 'skipped'))
order by s.position
