-- What was the first and the last flight of the day, by airport, in a week of June?
SELECT DISTINCT origin, first_value(carrier || flight) OVER w AS first, first_value(dep) OVER w AS first_at,
  last_value(carrier || flight) OVER w AS last, last_value(dep) OVER w AS last_at,
  dep - dep % 86400000 AS window_start, dep - dep % 86400000 + 86400000 AS window_end
FROM flights WHERE dep >= 1370044800000 and dep < 1370649600000
WINDOW w AS (PARTITION BY origin, dep - dep % 86400000 ORDER BY dep, i ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
ORDER BY 6, 1;
