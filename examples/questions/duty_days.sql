-- When was an aircraft at work? Its flights belong to one stretch as long as less than a day lies between them.
WITH marked AS (
  SELECT *, dep - coalesce(lag(dep) OVER w, -86400000) >= 86400000 AS begins FROM flights
  WHERE tailnum IN ('N725MQ', 'N328AA') WINDOW w AS (PARTITION BY tailnum ORDER BY dep, i)),
numbered AS (SELECT *, sum(begins) OVER (PARTITION BY tailnum ORDER BY dep, i) AS stretch FROM marked),
ends AS (
  SELECT *, first_value(origin) OVER w AS start, last_value(dest) OVER w AS goal FROM numbered
  WINDOW w AS (PARTITION BY tailnum, stretch ORDER BY dep, i ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))
SELECT tailnum, min(dep) AS begin, max(dep) AS last, count(*) AS flights, start AS "from", goal AS "to", sum(distance) AS miles
FROM ends GROUP BY tailnum, stretch HAVING count(*) > 1 ORDER BY 3, 1;
