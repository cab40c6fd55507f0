-- Does a student get better over the rounds, and better than on the seeds alone?
select recipe, name, slice, round, value, low, high, n
from metrics
where name in ('accuracy', 'accuracy_gain', 'rmse', 'rmse_gain', 'micro_f1', 'micro_f1_gain', 'span_f1', 'span_f1_gain')
order by recipe, name, slice, round
