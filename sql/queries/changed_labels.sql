-- Which rows carry another label than the one they were asked for?
select recipe, round, former_label, label, label_source, confidence, text, row_id
from labelled
where label <> former_label
order by recipe, round, confidence desc, row_id
