-- How often did it gust at 17 UTC with over 30 miles an hour while nothing left for half an hour before and after, in spans of 30 days?
SELECT w.origin AS "right.origin", count(*) AS readings, max(w.wind_gust) AS strongest,
  w.time - w.time % 2592000000 AS window_start, w.time - w.time % 2592000000 + 2592000000 AS window_end
FROM weather w LEFT JOIN flights f ON f.origin = w.origin AND f.dep BETWEEN w.time - 1800000 AND w.time + 1800000
WHERE f.i IS NULL AND w.wind_gust > 30 AND w.time % 86400000 / 3600000 = 17 GROUP BY 4, 1 ORDER BY 4, 1;
