-- Which airlines left over a quarter of an hour late on average, in spans of 90 days, and what are their names?
SELECT a.name AS "airline.name", count(*) AS flights, avg(f.dep_delay) AS delay,
  f.dep - f.dep % 7776000000 AS window_start, f.dep - f.dep % 7776000000 + 7776000000 AS window_end
FROM flights f LEFT JOIN airlines a ON a.key = f.carrier
GROUP BY 4, 1 HAVING delay > 15 ORDER BY 4, 1;
