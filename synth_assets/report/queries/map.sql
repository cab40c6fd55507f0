-- different texts of each kind, by a hash of their ids (as evaluation/map_of_rows.py draws)
with every as (
  select 'real' as kind, row_id, text, null as why from {recipe}.seeds
  union all
  select 'kept', row_id, text, null from {recipe}.filtered where round = $round
  union all
  select 'dropped', g.row_id, g.text, r.reason
  from {recipe}.generations as g
  left join {recipe}.rejected as r using (round, row_id)
  where round = $round and accepted and row_id not in (select row_id from {recipe}.filtered where round = $round)
),
different as (
  select *, md5(row_id) as place from every where text is not null
  qualify row_number() over (partition by kind, text order by md5(row_id), row_id) = 1
)
select kind, text, why, count(*) over (partition by kind) as texts from different
qualify row_number() over (partition by kind order by place, row_id) <= $most
order by kind, place, row_id
