-- How fast does a carrier fly on long ways, in miles an hour, by quarter of 91 days?
SELECT carrier, dep - dep % 7862400000 AS "from", count(*) AS flights, round(sum(distance) * 60.0 / sum(air_time), 1) AS speed
FROM flights WHERE distance > 1000 GROUP BY 2, 1 HAVING count(*) >= 20 ORDER BY 2, 1;
