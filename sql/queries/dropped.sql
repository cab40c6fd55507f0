-- Why are rows dropped? With the rows that are nearest to what was wanted, and farthest from it.
select
  recipe,
  stage,
  scorer,
  threshold,
  count(*) as rows,
  round(count(*) / sum(count(*)) over (partition by recipe), 3) as share,
  arg_min(text, value) as lowest,
  arg_max(text, value) as highest,
  any_value(text) as example
from rejected
group by recipe, stage, scorer, threshold
order by recipe, rows desc, scorer
