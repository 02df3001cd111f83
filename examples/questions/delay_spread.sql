-- How much did the delays of a carrier vary, in spans of 90 days?
SELECT carrier, count(*) AS flights, avg(dep_delay) AS delay,
  sqrt((count(*) * sum(dep_delay * dep_delay) - sum(dep_delay) * sum(dep_delay)) * 1.0 / (count(*) * (count(*) - 1.0))) AS spread,
  dep - dep % 7776000000 AS window_start, dep - dep % 7776000000 + 7776000000 AS window_end
FROM flights GROUP BY 5, 1 HAVING count(*) > 100 ORDER BY 5, 1;
