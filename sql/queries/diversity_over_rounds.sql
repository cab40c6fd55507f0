-- Does the set get more varied, or less, over the rounds?
select recipe, name, slice, round, value, value - lag(value) over (partition by recipe, name, slice order by round) as change, n
from metrics
where name in ('vocabulary', 'distinct_1', 'distinct_2', 'self_bleu_4', 'average_pairwise_similarity')
order by recipe, name, slice, round
