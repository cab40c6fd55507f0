select stage, scorer as filter, threshold as wanted, count(*) as dropped from {recipe}.rejected
where round <= $round group by all order by dropped desc, filter
