-- How many different destinations did an airport serve, and how many aircraft, in spans of 30 days?
SELECT origin, count(*) AS flights, count(DISTINCT dest) AS destinations, count(DISTINCT tailnum) AS aircraft,
  dep - dep % 2592000000 AS window_start, dep - dep % 2592000000 + 2592000000 AS window_end
FROM flights GROUP BY 5, 1 ORDER BY 5, 1;
