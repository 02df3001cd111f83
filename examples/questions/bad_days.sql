-- On which days did flights leave an airport over an hour late on average, ten or more of them?
SELECT origin, count(*) AS flights, avg(dep_delay) AS delay, dep - dep % 86400000 AS window_start, dep - dep % 86400000 + 86400000 AS window_end
FROM flights GROUP BY 4, 1 HAVING count(*) >= 10 AND avg(dep_delay) > 60 ORDER BY 4, 1;
