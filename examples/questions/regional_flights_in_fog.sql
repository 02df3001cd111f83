-- Which flights of regional airlines left in hours of less than a fifth of a mile of visibility?
SELECT f.origin AS airport, f.dep, a.name AS airline, f.flight, w.visib
FROM flights f JOIN weather w ON f.origin = w.origin AND w.time BETWEEN f.dep - f.dep % 3600000 AND f.dep - f.dep % 3600000 + 3599999
JOIN airlines a ON a.key = f.carrier
WHERE a.regional AND w.visib < 0.2 ORDER BY max(f.dep, w.time), f.i, w.i;
