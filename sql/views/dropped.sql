-- why rows were dropped, by round
select round, stage, scorer, threshold, count(*) as rows, any_value(text) as example
from {recipe}.rejected
group by all
order by round, rows desc, scorer
