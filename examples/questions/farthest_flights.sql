-- Where did the longest and the shortest flight of the week from LaGuardia go?
SELECT DISTINCT first_value(dest) OVER (PARTITION BY dep - dep % 604800000 ORDER BY distance DESC, dep, i) AS farthest,
  max(distance) OVER w AS miles, first_value(dest) OVER (PARTITION BY dep - dep % 604800000 ORDER BY distance, dep, i) AS nearest,
  min(distance) OVER w AS least_miles, dep - dep % 604800000 AS window_start, dep - dep % 604800000 + 604800000 AS window_end
FROM flights WHERE origin = 'LGA' WINDOW w AS (PARTITION BY dep - dep % 604800000) ORDER BY 5;
