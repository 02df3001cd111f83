-- Which airports had hours in which five or more flights left with over 100 minutes of delay on average?
SELECT dep - dep % 3600000 AS hour, origin, count(*) AS flights, round(avg(dep_delay), 1) AS delay, max(dep_delay) AS worst
FROM flights GROUP BY 1, 2 HAVING count(*) >= 5 AND avg(dep_delay) > 100 ORDER BY 1, 2;
