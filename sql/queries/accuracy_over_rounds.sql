-- Does a student get better over the rounds, and better than on the seeds alone?
select recipe, name, slice, round, value, low, high, n
from metrics
where name in ('accuracy', 'accuracy_gain')
order by recipe, name, slice, round
