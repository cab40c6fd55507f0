-- How many rows does each cell keep, round by round?
select recipe, cell, round, generated, rejected, dropped, kept, yield, reasons
from yield
order by recipe, cell, round
