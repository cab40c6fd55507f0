select round::varchar as round, asked, kept, training_rows, calls, cost from {recipe}.rounds
where round in ($round, $before) order by round
