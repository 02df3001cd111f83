-- How many flights left in every span of three hours, hour by hour, through a day of a storm?
WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < 2)
SELECT origin, count(*) AS flights, avg(dep_delay) AS delay,
  dep - dep % 3600000 - n * 3600000 AS window_start, dep - dep % 3600000 - n * 3600000 + 3 * 3600000 AS window_end
FROM flights, k WHERE dep >= 1360281600000 and dep < 1360368000000 GROUP BY 4, 1 ORDER BY 5, 1;
