-- Which flights left within a quarter of an hour of a reading of less than a tenth of a mile of visibility?
SELECT f.origin AS airport, f.dep, f.carrier, f.flight, w.time AS measured, w.visib
FROM flights f JOIN weather w ON f.origin = w.origin AND w.time BETWEEN f.dep - 900000 AND f.dep + 900000
WHERE w.visib < 0.1 ORDER BY max(f.dep, w.time), f.i, w.i;
