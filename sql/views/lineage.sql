-- one line a row that was asked for: what it was made from, each step's call, its scores, what became of it
with
  shown as (
    select c.row_id, list(s.text order by c.position) as demonstrations
    from (
      select row_id, unnest(demonstration_ids) as seed_id, generate_subscripts(demonstration_ids, 1) as position
      from {recipe}.conditions
    ) as c
    join (
      select row_id, text from {recipe}.seeds
      union all
      select row_id, text from {recipe}.generations  -- rows of earlier rounds are shown too
    ) as s on s.row_id = c.seed_id
    group by c.row_id
  ),
  steps as (
    select
      row_id,
      list({step: step, call_id: call_id, model: model, reason: reason, error: error} order by position) as steps
    from {recipe}.steps
    where call_id is not null
    group by row_id
  ),
  conditions as (
    select
      *,
      to_json(struct_pack(*columns(
        lambda name: name not in (
          'row_id', 'round', 'cell', 'replicate', 'definition', 'verbalizer', 'demonstration_set', 'demonstration_ids'
        )
      ))) as conditions
    from {recipe}.conditions
  ),
  latest as (
    select row_id, arg_max(weight, round) as weight
    from {latest weights}
    where origin = 'synthetic'
    group by row_id
  )
select
  c.row_id,
  c.round,
  c.cell,
  c.label,
  c.conditions,
  coalesce(shown.demonstrations, []) as demonstrations,
  steps.steps,
  generations.text,
  generations.call_id,
  generations.model,
  case
    when filtered.row_id is not null then {json of filtered without generations}
    when scores.row_id is not null then {json of scores without generations}
  end as scores,
  coalesce(rejected.reason, if(filtered.row_id is null, null, 'kept')) as outcome,
  rejected.stage as dropped_by,
  rejected.scorer,
  rejected.value,
  rejected.threshold,
  labelled.label as final_label,
  labelled.former_label,
  labelled.label_source,
  labelled.confidence,
  latest.weight
from conditions as c
left join shown on shown.row_id = c.row_id
left join steps on steps.row_id = c.row_id
left join {recipe}.generations as generations on generations.row_id = c.row_id and generations.round = c.round
left join {recipe}.scores as scores on scores.row_id = c.row_id and scores.round = c.round
left join {recipe}.filtered as filtered on filtered.row_id = c.row_id and filtered.round = c.round
left join {recipe}.rejected as rejected on rejected.row_id = c.row_id and rejected.round = c.round
left join {recipe}.labelled as labelled on labelled.row_id = c.row_id and labelled.round = c.round
left join latest on latest.row_id = c.row_id
