-- How late did flights leave in hours of frost and snow, and how late in those of frost alone, in spans of 30 days?
SELECT f.origin AS airport, avg(f.dep_delay) FILTER (WHERE w.precip > 0) AS in_snow, avg(f.dep_delay) FILTER (WHERE w.precip = 0) AS in_the_dry,
  f.dep - f.dep % 2592000000 AS window_start, f.dep - f.dep % 2592000000 + 2592000000 AS window_end
FROM flights f JOIN weather w ON f.origin = w.origin AND w.time BETWEEN f.dep - f.dep % 3600000 AND f.dep - f.dep % 3600000 + 3599999
WHERE w.temp < 34 GROUP BY 4, 1 HAVING count(*) FILTER (WHERE w.precip > 0) > 10 ORDER BY 4, 1;
