-- On which days did the pressure at an airport change by over 20 millibars?
SELECT time - time % 86400000 AS day, origin, round(max(pressure) - min(pressure), 1) AS change, count(pressure) AS readings
FROM weather GROUP BY 1, 2 HAVING max(pressure) - min(pressure) > 20 ORDER BY 1, 2;
