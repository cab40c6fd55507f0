-- Where does a row come from, and what became of it?
-- param: row_id  a row's id, or how it starts
select recipe, row_id, round, cell, outcome, text, conditions, demonstrations, steps, scores, weight
from lineage
where starts_with(row_id, $row_id)
