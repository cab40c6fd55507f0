-- How many rows repeat another one, within their round or of a round before, and how many of them were kept?
with
  texts as (
    select recipe, round, row_id, outcome, lower(regexp_replace(trim(text), '\s+', ' ', 'g')) as text
    from lineage
    where text is not null
  ),
  ranked as (
    select
      recipe,
      round,
      outcome,
      round > min(round) over (partition by recipe, text) as of_a_round_before,
      row_number() over (partition by recipe, round, text order by row_id) > 1 as within_its_round,
      row_number() over (partition by recipe, text, outcome = 'kept' order by round, row_id) > 1 as once_more
    from texts
  )
select
  recipe,
  round,
  count(*) as rows,
  count(*) filter (where within_its_round) as within_its_round,
  count(*) filter (where of_a_round_before) as of_a_round_before,
  count(*) filter (where once_more and outcome = 'kept') as kept_all_the_same
from ranked
group by all
order by all
