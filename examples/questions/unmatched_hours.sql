-- In which hours did five flights or more leave unwatched, and how many readings had no flight then?
SELECT hour, sum(f AND NOT w) AS unwatched, sum(w AND NOT f) AS unused, sum(f AND w) AS pairs FROM (
  SELECT f.dep - f.dep % 3600000 AS hour, 1 AS f, w.i IS NOT NULL AS w
  FROM flights f LEFT JOIN weather w ON f.origin = w.origin AND w.time BETWEEN f.dep - f.dep % 3600000 AND f.dep - f.dep % 3600000 + 3599999
  UNION ALL
  SELECT w.time - w.time % 3600000, 0, 1 FROM weather w
  WHERE NOT EXISTS (SELECT 1 FROM flights f WHERE f.origin = w.origin AND f.dep BETWEEN w.time - w.time % 3600000 AND w.time - w.time % 3600000 + 3599999))
GROUP BY hour HAVING unwatched > 4 ORDER BY hour;
