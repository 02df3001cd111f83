-- What did the first reading in the hour before each flight to Hawaii say of the wind, if there was one?
SELECT f.origin AS airport, f.dep, f.carrier, w.time AS measured, w.wind_speed
FROM flights f LEFT JOIN weather w ON f.origin = w.origin
  AND w.time = (SELECT min(x.time) FROM weather x WHERE x.origin = f.origin AND x.time BETWEEN f.dep - 3600000 AND f.dep)
WHERE f.dest = 'HNL' ORDER BY f.dep, f.i;
