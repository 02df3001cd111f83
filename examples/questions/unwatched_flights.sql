-- How many flights left in hours for which there is no weather, by airport and day?
SELECT f.origin AS "left.origin", count(*) AS flights, f.dep - f.dep % 86400000 AS window_start, f.dep - f.dep % 86400000 + 86400000 AS window_end
FROM flights f LEFT JOIN weather w ON f.origin = w.origin AND w.time BETWEEN f.dep - f.dep % 3600000 AND f.dep - f.dep % 3600000 + 3599999
WHERE w.i IS NULL GROUP BY 3, 1 ORDER BY 3, 1;
