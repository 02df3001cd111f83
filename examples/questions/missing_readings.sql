-- How often did an airport measure no pressure, in spans of 60 days?
SELECT time - time % 5184000000 AS "from", origin, count(*) - count(pressure) AS missing,
  round((count(*) - count(pressure)) * 100.0 / count(*), 2) AS percent
FROM weather GROUP BY 1, 2 ORDER BY 1, 2;
