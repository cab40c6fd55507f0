-- What is there of each round: rows, calls, cost, when?
select * from rounds order by recipe, round
