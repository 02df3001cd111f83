-- After which departures did the next reading, within the hour, say less than a tenth of a mile of visibility?
SELECT f.origin AS airport, f.dep, f.flight, w.time AS measured, w.visib
FROM flights f JOIN weather w ON f.origin = w.origin
  AND w.time = (SELECT min(x.time) FROM weather x WHERE x.origin = f.origin AND x.time BETWEEN f.dep AND f.dep + 3600000)
WHERE w.visib < 0.1 ORDER BY max(f.dep, w.time), f.i, w.i;
