-- Which flights left in the very minute of a reading of more than 25 miles an hour of wind?
SELECT f.origin AS airport, f.dep, f.carrier, f.flight, w.wind_speed
FROM flights f JOIN weather w ON f.origin = w.origin AND f.dep = w.time
WHERE w.wind_speed > 25 ORDER BY f.dep, f.i, w.i;
