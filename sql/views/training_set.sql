-- what there is to train on, with weights and real rows: `weighted` of the latest round that has rows
select *
from {recipe}.weighted
where round = (select max(round) from {rows of weighted by round})
